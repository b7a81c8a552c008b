"""An output broker that is slow or away: consumption waits, the group stays, nothing is lost."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from broker_fixtures import Broker
from daemon_process import DaemonProcess
from kafka_proxy import FETCH, PRODUCE, kafka_proxy
from stream_support import Stage, accounted, expected_slates, toy_bundle, toy_events

POLL = 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("models") / "toy")


@pytest.mark.parametrize(
    "delivery", ["at-least-once", pytest.param("exactly-once", marks=pytest.mark.soak)]
)
def test_what_cannot_be_written_is_not_read_and_the_group_stays(
    broker: Broker, model: Path, delivery: str
) -> None:
    """Only Produce is held back, for longer than the session timeout of 6 s."""
    if delivery == "exactly-once" and broker.name == "apache":
        pytest.skip("the cluster itself aborts what is open for so long: test_transactions.py")
    stage = Stage(broker, model)
    events = toy_events(seed=6, events=1_200)
    stage.produce(events[:300])
    with (
        kafka_proxy(local(broker)) as proxy,
        stage.daemon(
            **{"kafka.bootstrap_servers": proxy.bootstrap_servers},
            max_poll_records=POLL,
            group_instance_id=None,
            transactional_id="one" if delivery == "exactly-once" else None,
            delivery=delivery,
        ) as daemon,
    ):
        stage.wait_committed(300)
        proxy.hold(PRODUCE)
        stage.produce(events[300:])
        wait_until(lambda: proxy.held_back)
        time.sleep(1)
        at, fetched = stage.committed(), proxy.received[FETCH]
        memory = resident(daemon)
        time.sleep(7)
        assert stage.committed() == at <= 300 + POLL
        # Nothing more is taken in than what was under way.
        assert proxy.received[FETCH] - fetched < 5_000
        assert resident(daemon) - memory < 5_000_000
        proxy.release()
        stage.wait_committed(len(events), timeout_s=90)
        check(stage, daemon, model, len(events), polls_repeated=0)


def test_connections_cut_for_a_while(broker: Broker, model: Path) -> None:
    stage = Stage(broker, model)
    events = toy_events(seed=7, events=1_200)
    stage.produce(events[:300])
    with (
        kafka_proxy(local(broker)) as proxy,
        stage.daemon(
            **{"kafka.bootstrap_servers": proxy.bootstrap_servers, "kafka.session_timeout_s": 30},
            max_poll_records=POLL,
            group_instance_id=None,
        ) as daemon,
    ):
        stage.wait_committed(300)
        for batch in (events[300:700], events[700:]):
            stage.produce(batch)
            proxy.cut()
            time.sleep(2)
            assert daemon.popen.poll() is None
            proxy.restore()
            stage.wait_committed(300 if batch is events[300:700] else 700, timeout_s=60)
        stage.wait_committed(len(events), timeout_s=60)
        check(stage, daemon, model, len(events), polls_repeated=2)


def local(broker: Broker) -> str:
    if not broker.bootstrap_servers.startswith("127.0.0.1:"):
        pytest.skip("the proxy stands before brokers on 127.0.0.1 only")
    return broker.bootstrap_servers


def check(
    stage: Stage, daemon: DaemonProcess, model: Path, count: int, polls_repeated: int
) -> None:
    """Each event answered as if nothing had been, few of them twice, by one stay in the group."""
    metrics = daemon.metrics()
    assert sum(accounted(metrics).values()) == count
    assert daemon.stop() == 0, daemon.log
    assert "Traceback" not in daemon.log
    rebalances = {k: v for k, v in metrics.items() if k.startswith("session_rec_rebalances_total{")}
    assert rebalances and sum(rebalances.values()) == 1, rebalances
    assert stage.slates() == expected_slates(stage.read(stage.events), model)
    ids = [json.loads(record.value)["id"] for record in stage.read(stage.predictions)]
    assert len(ids) - len(set(ids)) <= polls_repeated * POLL


def wait_until(true: object, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def resident(daemon: DaemonProcess) -> int:
    """Bytes of memory that the process holds."""
    for line in Path(f"/proc/{daemon.popen.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")
