"""TLS, client certificates and SCRAM on a real broker; secrets in no command line and in no log."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from broker_fixtures import (
    SCRAM_PASSWORD,
    SCRAM_USER,
    Broker,
    apache_broker_started,
    missing_kafka,
)
from daemon_process import DaemonProcess
from stream_support import Stage, click, toy_bundle

from session_rec.config import parse_config
from session_rec.errors import UserError
from streaming.config import KafkaSettings
from streaming.kafka_clients import make_admin
from streaming.tls_files import certificate_refused, check_tls_files

NOW = 1_700_000_000_000
TOKEN = "token-0123456789abcdef"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs, ours and a stranger's, and our key locked by a passphrase."""
    if shutil.which("openssl") is None:
        missing_kafka("no certificates can be made: openssl is not there")
    directory = tmp_path_factory.mktemp("keys")
    for name in ("ours", "stranger"):
        openssl(
            directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem",
        )  # fmt: skip
    openssl(
        directory, "rsa", "-aes128", "-passout", "pass:x", "-in", "ours.key", "-out", "locked.key"
    )
    return directory


def openssl(directory: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[Broker]:
    """SCRAM over TLS, and our certificate is wanted as well."""
    wanted = {
        "listener.name.client.ssl.client.auth": "required",
        "listener.name.client.ssl.truststore.type": "PEM",
        "listener.name.client.ssl.truststore.location": str(keys / "ours.pem"),
    }
    directory = tmp_path_factory.mktemp("scram-tls")
    with apache_broker_started(directory, "scram-tls", wanted) as broker:
        pair = {"ssl_certfile": str(keys / "ours.pem"), "ssl_keyfile": str(keys / "ours.key")}
        yield replace(broker, security=broker.security | pair)


@pytest.fixture
def right(secured: Broker, keys: Path, tmp_path: Path) -> dict[str, object]:
    """Settings that let us in."""
    password = tmp_path / "password"
    password.write_text(SCRAM_PASSWORD + "\n")
    return {
        "bootstrap_servers": secured.bootstrap_servers,
        "security_protocol": "SASL_SSL",
        "sasl_username": SCRAM_USER,
        "sasl_password_file": str(password),
        "ssl_cafile": secured.security["ssl_cafile"],
        "ssl_certfile": str(keys / "ours.pem"),
        "ssl_keyfile": str(keys / "ours.key"),
    }


def refused(settings: dict[str, object]) -> str:
    """The sentence with which a client is not made; within ``connect_timeout_s``, 10 s."""
    given = {key: value for key, value in settings.items() if value is not None}
    with pytest.raises(UserError) as caught:
        make_admin(parse_config(given, KafkaSettings, "test"))
    return str(caught.value)


def test_who_has_all_that_is_asked_for_is_let_in_and_logs_no_secret(
    secured: Broker, model: Path, right: dict[str, object]
) -> None:
    stage = Stage(secured, model, partitions=1)
    stage.produce([click("s1", "i01", NOW)])
    settings = {f"kafka.{key}": value for key, value in right.items()}
    env = {"SHOP_TOKEN": TOKEN}
    with stage.daemon(env, log_level="DEBUG", http_token_env="SHOP_TOKEN", **settings) as daemon:
        stage.wait_committed(1)
        assert daemon.stop() == 0, daemon.log
    assert len(stage.slates()) == 1
    assert SCRAM_PASSWORD not in daemon.log and TOKEN not in daemon.log
    assert "DEBUG" in stage.settings(log_level="DEBUG")[-1]  # it was asked to tell all it can


def test_a_wrong_password_is_called_one(
    secured: Broker, model: Path, right: dict[str, object]
) -> None:
    stage = Stage(secured, model, partitions=1)
    wrong = right | {"sasl_password_file": None, "sasl_password_env": "SHOP_PASSWORD"}
    settings = {f"kafka.{key}": value for key, value in wrong.items()}
    with stage.daemon({"SHOP_PASSWORD": "not-this"}, log_level="DEBUG", **settings) as daemon:
        assert daemon.wait(60) == 2
    (said,) = [line for line in daemon.lines if line.startswith("session-rec: ")]
    assert "refused to authenticate user 'shop' by SCRAM-SHA-256" in said
    assert "not-this" not in daemon.log and "Traceback" not in daemon.log


def test_a_certificate_that_is_not_right_is_called_one(
    secured: Broker, right: dict[str, object], keys: Path
) -> None:
    stranger = {"ssl_certfile": keys / "stranger.pem", "ssl_keyfile": keys / "stranger.key"}
    assert "is not trusted" in refused(right | {"ssl_cafile": keys / "stranger.pem"})
    assert "is not trusted" in refused(right | {"ssl_cafile": None})
    said = refused(right | {"ssl_certfile": None, "ssl_keyfile": None})
    assert "wants a certificate of ours" in said and "kafka.ssl_certfile" in said
    said = refused(right | stranger)
    assert f"does not accept our certificate {keys / 'stranger.pem'}" in said


def test_plaintext_to_a_port_that_speaks_tls(secured: Broker) -> None:
    plain = {"bootstrap_servers": secured.bootstrap_servers, "connect_timeout_s": 4}
    assert "Kafka" in refused(plain)


@pytest.mark.parametrize(
    ("ca", "certificate", "key", "message"),
    [
        ("none.pem", None, None, r"none\.pem is not there: kafka\.ssl_cafile must be a PEM file"),
        ("ours.key", None, None, r"ours\.key holds no certificate to trust"),
        (None, "none.pem", "ours.key", r"none\.pem is not there: kafka\.ssl_certfile"),
        (None, "ours.pem", "none.key", r"none\.key is not there: kafka\.ssl_keyfile"),
        (None, "ours.pem", "stranger.key", r"stranger\.key is not that of the certificate"),
        (None, "ours.pem", None, r"ours\.pem cannot be read as our certificate and its key"),
        (None, "ours.key", None, r"ours\.key cannot be read as our certificate and its key"),
        (None, "ours.pem", "locked.key", r"the key in .*locked\.key is locked by a passphrase"),
        (None, None, "ours.key", r"kafka\.ssl_keyfile is set without kafka\.ssl_certfile"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used(
    keys: Path, ca: str | None, certificate: str | None, key: str | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_tls_files(*(keys / name if name else None for name in (ca, certificate, key)))


def test_files_that_can_be_used(keys: Path) -> None:
    check_tls_files(None, None, None)
    check_tls_files(keys / "stranger.pem", keys / "ours.pem", keys / "ours.key")
    both = keys / "both.pem"
    both.write_text((keys / "ours.pem").read_text() + (keys / "ours.key").read_text())
    check_tls_files(None, both, None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate", "bad certificate"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert", "certificate required"),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3", "certificate expired"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca", "unknown ca"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", None),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", None),
        ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version", None),
    ],
)
def test_the_alerts_by_which_a_broker_turns_us_down(line: str, said: str | None) -> None:
    sentence = certificate_refused(f"Connection lost: {line} (_ssl.c:1)", "b:1", Path("our.pem"))
    assert sentence is None if said is None else f"({said})" in str(sentence)


@pytest.mark.parametrize("secret", ["kafka.sasl_password", "http_token"])
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(secret: str) -> None:
    daemon = DaemonProcess(["model=m", f"{secret}=hunter2-hunter2-hunter2"])
    assert daemon.wait(60) == 2
    (said,) = daemon.lines
    assert f"unknown key '{secret}'; the nearest known one is '{secret.split('.')[-1]}_" in said
    assert "hunter2" not in said
