"""Settings of HTTP and logs; secrets come from the environment or a file only."""

from __future__ import annotations

from pathlib import Path

import pytest

from session_rec.config import load_config, parse_config
from session_rec.errors import UserError
from streaming.config import StreamConfig
from streaming.secret_sources import read_secret

TOKEN = "0123456789abcdef"


def config(**values: object) -> StreamConfig:
    return parse_config({"model": "m", **values}, StreamConfig, "test")


def test_the_old_names_still_work_and_say_so() -> None:
    old = config(metrics=False, metrics_host="localhost", metrics_port=1)
    assert (old.http, old.http_host, old.http_port) == (False, "localhost", 1)
    assert old.warnings() == [
        "the setting metrics is called http now; its old name still works",
        "the setting metrics_host is called http_host now; its old name still works",
        "the setting metrics_port is called http_port now; its old name still works",
    ]
    new = config(http=False, http_host="localhost", http_port=1)
    assert new.model_dump() == old.model_dump() and new.warnings() == []
    assert load_config(None, StreamConfig, ["model=m", "metrics_port=7"]).http_port == 7


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metrics_port": 1, "http_port": 2}, "metrics_port is the old name of http_port"),
        ({"metrics_port": 70_000}, "'http_port': input should be less than or equal to 65535"),
        ({"http_token": TOKEN}, "unknown key 'http_token'"),
        ({"http_token_env": "A", "http_token_file": "b"}, "not in both"),
        ({"log_format": "xml"}, "'log_format': input should be 'text' or 'json'"),
        ({"recommendations_cache": -1}, "recommendations_cache"),
        ({"http_host": ""}, "http_host"),
    ],
)
def test_what_does_not_fit(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        config(**values)
    assert TOKEN not in str(caught.value)


def test_a_round_may_take_as_long_as_a_delivery_a_commit_and_a_minute() -> None:
    assert config(delivery_timeout_s=300).round_limit_s == 660
    assert config(delivery_timeout_s=300, healthz_timeout_s=5).round_limit_s == 5


def test_the_token_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    assert config(http_token_env="SHOP_TOKEN").http_token() == TOKEN
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert config(http_token_file=file).http_token() == TOKEN
    assert config().http_token() is None
    for bad in ("short", "a b" * 10, "ä" * 20, TOKEN + "\n" + TOKEN):
        monkeypatch.setenv("SHOP_TOKEN", bad)
        with pytest.raises(UserError, match=r"SHOP_TOKEN: the HTTP token must have") as caught:
            config(http_token_env="SHOP_TOKEN").http_token()
        assert bad not in str(caught.value)


def test_a_secret_that_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_SECRET", raising=False)
    for variable, file, message in (
        ("SHOP_SECRET", None, "environment variable SHOP_SECRET is not set: it must hold the key"),
        (None, tmp_path / "none", r"none cannot be read \(No such file or directory\)"),
        (None, tmp_path, "Is a directory"),
    ):
        with pytest.raises(UserError, match=message):
            read_secret(variable, file, "key")
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="empty is empty: it must hold the key"):
        read_secret(None, empty, "key")
    with pytest.raises(UserError, match="binary is not UTF-8"):
        read_secret(None, binary, "key")
    monkeypatch.setenv("SHOP_SECRET", "")
    with pytest.raises(UserError, match="SHOP_SECRET is empty"):
        read_secret("SHOP_SECRET", None, "key")
    file = tmp_path / "password"
    file.write_text(" with spaces \r\n")
    assert read_secret(None, file, "key") == " with spaces "
