"""The daemon as a service: real processes, real signals, HTTP, a service manager that listens."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
from broker_fixtures import Broker, unique
from daemon_process import START_S, DaemonProcess
from kafka import KafkaProducer
from stream_support import Stage, click, toy_bundle

from streaming.child_process import child_process

NOW = 1_700_000_000_000
#: In every id and every message: it must be in no log line.
MARK = "marked"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("models") / "toy")


def get(daemon: DaemonProcess, path: str) -> tuple[int, bytes]:
    url = daemon.wait_log(r"http://\S+/metrics").removesuffix("/metrics") + path
    try:
        with urllib.request.urlopen(url, timeout=START_S) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def until(what: str, daemon: DaemonProcess, path: str, status: int) -> bytes:
    deadline = time.monotonic() + START_S
    while (got := get(daemon, path))[0] != status:
        assert time.monotonic() < deadline, (what, got, daemon.log)
        time.sleep(0.05)
    return got[1]


def test_a_service_from_ready_to_stopping(broker: Broker, model: Path, tmp_path: Path) -> None:
    stage = Stage(broker, model, partitions=2)
    ann, bob = f"{MARK}/ann é", f"{MARK}-bob"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(2 * START_S)
    env = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "600000"}
    with stage.daemon(env, log_format="json", log_level="INFO") as daemon:
        assert manager.recv(1000).startswith((b"READY=1\n", b"WATCHDOG=1"))
        ready = json.loads(until("ready", daemon, "/readyz", 200))
        assert ready == {
            "ready": True, "obstacle": None, "partitions": {"0": "serving", "1": "serving"},
        }  # fmt: skip
        stage.produce([click(ann, f"i0{n}", NOW + n) for n in range(3)])
        stage.produce([click(bob, f"{MARK}-item", NOW + 3), click(bob, "i05", NOW + 4)])
        bad = f'{{"session_id": "{MARK}"'.encode()
        late = click(ann, f"{MARK}-late", NOW - 10**9, NOW)
        other = (f"{MARK}-key".encode(), click(bob, "i06", NOW + 5)[1], NOW + 5)
        stage.produce([(MARK.encode(), bad, NOW), (None, bad, NOW), late, other])
        stage.wait_committed(9)
        status, body = get(daemon, f"/sessions/{quote(ann, safe='')}/recommendations")
        newest = {r.key: r.value for r in stage.read(stage.predictions)}
        assert (status, body) == (200, newest[ann.encode()])
        assert json.loads(body)["ts"] == NOW + 2
        metrics = daemon.metrics()
        terms = {t: metrics[f'session_rec_records_total{{fate="{t}"}}'] for t in ("emitted", "late",
                 "dead_lettered", "duplicates", "tombstones")}  # fmt: skip
        assert terms == {
            "emitted": 6, "late": 1, "dead_lettered": 2, "duplicates": 0, "tombstones": 0,
        }  # fmt: skip
        assert metrics["session_rec_ready"] == 1
        assert metrics["session_rec_clicks_asked_total"] >= 2
        assert metrics['session_rec_lag_seconds{partition="0"}'] == 0

        stage.produce([(ann.encode(), None, NOW + 6)])
        stage.wait_committed(10)
        assert get(daemon, f"/sessions/{quote(ann, safe='')}/recommendations")[0] == 404
        assert get(daemon, f"/sessions/{quote(bob)}/recommendations")[0] == 200
        assert daemon.stop() == 0, daemon.log
    heard = []
    manager.setblocking(False)
    while not heard or not heard[-1].startswith("STOPPING"):
        heard.append(manager.recv(1000).decode())
    assert "WATCHDOG=1" in heard
    lines = [json.loads(line) for line in daemon.lines]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    assert {line["partition"] for line in lines if "partition" in line} == {0, 1}
    assert MARK not in daemon.log


def test_markers_of_transactions_are_neither_lag_nor_something_to_rebuild(
    broker: Broker, model: Path
) -> None:
    stage = Stage(broker, model, partitions=1)
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap_servers, transactional_id=unique("shop")
    )
    producer.init_transactions()

    def transaction(item: str, ts: int, commit: bool = True) -> None:
        producer.begin_transaction()
        key, value, timestamp = click(MARK, item, ts)
        producer.send(stage.events, key=key, value=value, timestamp_ms=timestamp)
        producer.flush()
        (producer.commit_transaction if commit else producer.abort_transaction)()

    transaction("i01", NOW)
    transaction("i02", NOW + 1, commit=False)
    with stage.daemon(start="latest") as daemon:
        # The log ends with an aborted record and two markers, and the rebuild is over there.
        ready = json.loads(until("ready", daemon, "/readyz", 200))
        assert ready["partitions"] == {"0": "serving"}
        transaction("i03", NOW + 2)
        stage.wait_committed(6)
        metrics = daemon.metrics()
        assert metrics['session_rec_lag_records{partition="0"}'] == 0
        assert metrics['session_rec_lag_seconds{partition="0"}'] == 0
        assert metrics["session_rec_records_consumed_total"] == 1
        assert daemon.stop() == 0, daemon.log
    producer.close()
    (slate,) = stage.slates().values()
    assert (slate["id"], slate["known_items"]) == (f"{stage.events}-0-4", 2)


def test_a_member_without_a_partition_is_ready_and_takes_over(
    embedded_broker: Broker, model: Path
) -> None:
    stage = Stage(embedded_broker, model, partitions=1)
    session = f"/sessions/{MARK}/recommendations"
    with stage.daemon(group_instance_id=None) as one:
        until("ready", one, "/readyz", 200)
        stage.produce([click(MARK, "i01", NOW)])
        stage.wait_committed(1)
        with stage.daemon(group_instance_id=None) as two:
            ready = json.loads(until("ready", two, "/readyz", 200))
            assert ready["partitions"] == {}
            assert (get(one, session)[0], get(two, session)[0]) == (200, 404)
            assert one.stop() == 0
            two.wait_log("emitting from offset")
            stage.produce([click(MARK, "i02", NOW + 1)])
            stage.wait_committed(2)
            slate = json.loads(until("slate", two, session, 200))
            assert (slate["ts"], slate["known_items"]) == (NOW + 1, 2)
            assert two.stop() == 0


def stuck(stage: Stage, daemon: DaemonProcess) -> None:
    """Returns once the daemon holds an event whose prediction nobody takes."""
    until("ready", daemon, "/readyz", 200)
    stage.broker.admin.delete_topics([stage.predictions])
    stage.produce([click(MARK, "i01", NOW)])
    deadline = time.monotonic() + START_S
    while daemon.metrics()["session_rec_records_consumed_total"] < 1:
        assert time.monotonic() < deadline, daemon.log
        time.sleep(0.02)


def test_exit_1_where_nothing_can_be_delivered(embedded_broker: Broker, model: Path) -> None:
    stage = Stage(embedded_broker, model, partitions=1)
    old_name = {"http_port": None, "metrics_port": 0}
    with stage.daemon(delivery_timeout_s=1, **old_name) as daemon:
        stuck(stage, daemon)
        assert daemon.wait() == 1, daemon.log
    assert "1 messages could not be delivered within 1 s" in daemon.log
    assert "the setting metrics_port is called http_port now" in daemon.log
    assert MARK not in daemon.log and "Traceback" not in daemon.log
    assert stage.committed() == 0


def test_exit_3_when_the_time_to_drain_is_over(embedded_broker: Broker, model: Path) -> None:
    stage = Stage(embedded_broker, model, partitions=1)
    with stage.daemon(shutdown_timeout_s=1) as daemon:
        stuck(stage, daemon)
        daemon.popen.send_signal(signal.SIGTERM)
        state = json.loads(until("stopping", daemon, "/readyz", 503))
        assert state["obstacle"] == "stopping"
        assert daemon.wait() == 3, daemon.log
    assert "not drained within 1 s: stopping; what is not committed will be repeated" in daemon.log


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_exit_128_and_more_at_the_second_signal(
    embedded_broker: Broker, model: Path, second: signal.Signals
) -> None:
    stage = Stage(embedded_broker, model, partitions=1)
    with stage.daemon(shutdown_timeout_s=1000, delivery_timeout_s=1000) as daemon:
        stuck(stage, daemon)
        daemon.popen.send_signal(signal.SIGTERM)
        until("stopping", daemon, "/readyz", 503)
        daemon.popen.send_signal(second)
        assert daemon.wait() == 128 + second, daemon.log


def test_a_sigterm_while_the_broker_is_away_and_nothing_is_under_way(model: Path) -> None:
    command = [sys.executable, "-m", "streaming.embedded_broker", "--port", "0", "--with-parent"]
    with child_process(command, stdout=subprocess.PIPE, text=True) as away:
        assert away.stdout is not None
        broker = Broker("embedded", away.stdout.readline().split()[-1])
        stage = Stage(broker, model, partitions=1)
        with stage.daemon() as daemon:
            until("ready", daemon, "/readyz", 200)
            stage.produce([click(MARK, "i01", NOW)])
            stage.wait_committed(1)
            broker.close()
            away.kill()
            away.wait()
            assert daemon.stop() == 0, daemon.log
        assert "Traceback" not in daemon.log and "stopped after 1 records" in daemon.log


def test_a_signal_before_anything_was_taken_ends_it_at_once(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(START_S)
        daemon = DaemonProcess(
            [
                f'model="{model}"',
                f'kafka.bootstrap_servers="127.0.0.1:{mute.getsockname()[1]}"',
                "kafka.connect_timeout_s=300",
                "http=false",
            ]
        )
        try:
            mute.accept()
            assert daemon.stop() == 0, daemon.log
            assert "stopped before anything was taken" in daemon.log
        finally:
            daemon.end()
