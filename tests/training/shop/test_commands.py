"""`session-rec generate` and the files it leaves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from session_rec.errors import UserError
from training.shop.ceiling import Ceiling
from training.shop.commands import register
from training.shop.config import make_config
from training.shop.files import session_names

SMALL = ("--sessions", "400", "--items", "150", "--days", "10")


def run(*args: str) -> Result:
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["generate", *args])


def digests(directory: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir()}


def test_files(tmp_path: Path) -> None:
    out = tmp_path / "shop"
    result = run("--out", str(out), *SMALL, "--json", str(tmp_path / "counts.json"))
    assert result.exit_code == 0, result.output
    log = pq.read_table(out / "clickstream.parquet")
    assert {f.name: str(f.type) for f in log.schema} == {
        "session_id": "string", "item_id": "string", "ts": "int64",
        "event_type": "string", "device": "string", "country": "string",
    }  # fmt: skip
    catalog = pq.read_table(out / "catalog.parquet")
    assert {f.name: str(f.type) for f in catalog.schema} == {
        "item_id": "string", "name": "string", "category": "string",
        "brand": "string", "price": "double", "first_seen": "int64",
    }  # fmt: skip
    assert catalog.num_rows == 150
    assert set(log["item_id"].to_pylist()) <= set(catalog["item_id"].to_pylist())
    assert set(log["event_type"].to_pylist()) <= {"view", "cart", "purchase"}
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["rows"] == log.num_rows and counts["items"] == 150
    assert counts["sessions"] == len(set(log["session_id"].to_pylist())) == 400
    assert json.loads((out / "shop.json").read_text())["counts"] == counts
    assert sorted(p.name for p in tmp_path.iterdir()) == ["counts.json", "shop"]


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        assert run("--out", str(tmp_path / name), "--seed", seed, *SMALL).exit_code == 0
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    for name, digest in digests(tmp_path / "c").items():
        assert digest != digests(tmp_path / "a")[name]


def test_shop_json_rebuilds_the_ceiling(tmp_path: Path) -> None:
    out = tmp_path / "shop"
    run("--out", str(out), *SMALL)
    ceiling = Ceiling.from_file(out / "shop.json")
    catalog = pq.read_table(out / "catalog.parquet")
    assert ceiling.rows(catalog["item_id"].to_pylist()).tolist() == list(range(150))
    assert ceiling.world.catalog.name == catalog["name"].to_pylist()
    p = ceiling.predict([3], [catalog["first_seen"].to_pylist()[3]], ["view"])
    assert p.sum() == pytest.approx(1.0)


def test_a_damaged_shop_json_is_refused_in_one_sentence(tmp_path: Path) -> None:
    out = tmp_path / "shop"
    run("--out", str(out), *SMALL)
    path = out / "shop.json"
    good = json.loads(path.read_text())
    for text, why in (
        ("{", "not the shop.json"),
        ("[]", "not the shop.json"),
        (json.dumps({**good, "format_version": 2}), "format version 2"),
        (json.dumps({**good, "config": {**good["config"], "seed": 99}}), "another shop"),
        (json.dumps({**good, "config": {**good["config"], "colour": 1}}), "colour"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=why):
            Ceiling.from_file(path)
    with pytest.raises(UserError, match="run `session-rec generate`"):
        Ceiling.from_file(out / "none.json")


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "shop"
    run("--out", str(out), *SMALL)
    before = digests(out)
    result = run("--out", str(out), *SMALL)
    assert isinstance(result.exception, UserError) and "already there" in str(result.exception)
    assert digests(out) == before
    assert run("--out", str(out), *SMALL, "--replace", "--seed", "8").exit_code == 0
    assert digests(out) != before
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "precious").write_text("x")
    result = run("--out", str(foreign), *SMALL, "--replace")
    assert isinstance(result.exception, UserError) and (foreign / "precious").exists()
    (tmp_path / "file").write_text("x")
    result = run("--out", str(tmp_path / "file"), *SMALL, "--replace")
    assert isinstance(result.exception, UserError) and "is a file" in str(result.exception)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--sessions", "0"), "sessions"),
        (("--items", "20"), "more items"),
        (("--start", "soon"), "start"),
        (("--bot-share", "2"), "bot_share"),
        (("--seed", "-1"), "seed"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, args: tuple[str, ...], why: str) -> None:
    result = run("--out", str(tmp_path / "shop"), *args)
    assert isinstance(result.exception, UserError)
    assert why in str(result.exception) and "\n" not in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_shares_must_sum_to_one() -> None:
    with pytest.raises(UserError, match="sum to 1"):
        make_config(bot_dwell=(0.5,) * 8)


def test_session_names_are_unique() -> None:
    assert len(set(session_names(7, 200_000))) == 200_000
