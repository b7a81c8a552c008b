"""What keeps a daemon from starting, or makes it stop: one sentence each, exit code 2."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from broker_fixtures import Broker
from daemon_process import DaemonProcess
from kafka import KafkaAdminClient, TopicPartition
from stream_support import Stage, click, toy_bundle

from session_rec.config import parse_config
from session_rec.errors import BundleError, UserError
from streaming.config import StreamConfig
from streaming.daemon import Daemon
from streaming.kafka_clients import make_admin

NOW = 1_700_000_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("models") / "toy")


def sentence(settings: list[str], env: dict[str, str] | None = None) -> str:
    """What the command says before it ends with 2."""
    process = DaemonProcess(settings, env)
    assert process.wait(60) == 2, process.log
    said = [line for line in process.lines if line.startswith("session-rec: ")]
    assert len(said) == 1 and "Traceback" not in process.log, process.log
    assert not any("kafka." in line for line in process.lines if line not in said), process.log
    return said[0]


def config(model: Path, servers: str, **more: object) -> StreamConfig:
    values = {"model": model, "http": False, "kafka": {"bootstrap_servers": servers}, **more}
    return parse_config(values, StreamConfig, "test")


def test_a_broker_that_is_not_there(model: Path) -> None:
    begin = time.monotonic()
    said = sentence(
        [
            f'model="{model}"',
            'kafka.bootstrap_servers="127.0.0.1:1"',
            "kafka.connect_timeout_s=2",
            "http=false",
        ]
    )
    assert "no Kafka broker answers at 127.0.0.1:1 within 2 s" in said and "ECONNREFUSED" in said
    assert time.monotonic() - begin < 30


def test_a_topic_that_does_not_exist(broker: Broker, model: Path) -> None:
    stage = Stage(broker, model)
    said = sentence(stage.settings(**{"topics.events": "no-such-topic"}))
    assert "topic 'no-such-topic' does not exist" in said and "--create" in said


def test_a_compacted_events_topic(broker: Broker, model: Path) -> None:
    stage = Stage(broker, model, events=broker.topic(1, {"cleanup.policy": "compact"}))
    topics = {
        "events": stage.events,
        "predictions": stage.predictions,
        "dead_letters": stage.dead_letters,
    }
    with pytest.raises(UserError, match="is compacted"):
        Daemon(config(model, broker.bootstrap_servers, topics=topics))


def test_a_bundle_with_a_changed_byte(tmp_path: Path) -> None:
    broken = toy_bundle(tmp_path / "toy")
    weights = broken / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BundleError, match=r"weights\.safetensors was changed"):
        Daemon(config(broken, "127.0.0.1:1"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_future_skew_s": 300}, "must be between 0 and allowed_lateness_s"),
        ({"start": "yesterday"}, "neither 'latest', 'earliest' nor an ISO 8601 time"),
        ({"alowed_lateness_s": 1}, "nearest known one is 'allowed_lateness_s'"),
        ({"kafka": {"security_protocol": "SASL_SSL"}}, "sasl_username is needed"),
        ({"kafka": {"sasl_password": "x"}}, "unknown key 'kafka.sasl_password'"),
        ({"topics": {"events": "a", "predictions": "a"}}, "must be four topics"),
    ],
)
def test_settings_that_do_not_fit(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_config({"model": "m", **values}, StreamConfig, "test")


def test_a_password_that_is_nowhere(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    kafka = {
        "bootstrap_servers": "127.0.0.1:1",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_username": "u",
        "sasl_password_env": "NO_SUCH_VARIABLE",
    }
    with pytest.raises(UserError, match="NO_SUCH_VARIABLE is not set"):
        make_admin(config(model, "", kafka=kafka).kafka)


def test_expired_records_stop_the_daemon_unless_loss_is_accepted(
    broker: Broker, model: Path
) -> None:
    stage = Stage(broker, model, partitions=1)
    stage.produce([click("s1", f"i0{n}", NOW + n) for n in range(4)])
    with stage.daemon() as daemon:
        stage.wait_committed(4)
        assert daemon.stop() == 0
    stage.produce([click("s1", f"i0{n}", NOW + n) for n in range(4, 8)])
    admin: KafkaAdminClient = broker.admin
    admin.delete_records({TopicPartition(stage.events, 0): 6})
    said = sentence(stage.settings())
    assert f"{stage.events}-0 lost offsets 4 to 5" in said and "accept_loss" in said
    with stage.daemon(accept_loss=True) as daemon:
        stage.wait_committed(8)
        assert daemon.metrics()["session_rec_lost_total"] == 2
        assert daemon.stop() == 0
    ids = {int(i.rsplit("-", 1)[1]) for i in stage.slates()}
    assert ids == {0, 1, 2, 3, 6, 7}
