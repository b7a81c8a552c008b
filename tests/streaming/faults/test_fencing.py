"""A process that another one has replaced, or that its group gave up, cannot write."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from broker_fixtures import Broker
from kafka import KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from nursery import Nursery, Process, nursery
from stream_support import Stage, click, expected_slates, toy_bundle
from verdict import read_outputs

from streaming.fencing import FENCED

NOW = 1_700_000_000_000


def clicks(count: int, first: int = 0) -> list[tuple[bytes | None, bytes | None, int]]:
    return [
        click(f"s{n % 7}", f"i{n % 12:02d}", NOW + 1000 * n) for n in range(first, first + count)
    ]


def start(found: Nursery, stage: Stage, **more: object) -> Process:
    settings = {"delivery": "exactly-once", "http": False, "max_poll_records": 20}
    return found.start(stage.settings(**settings | more))


def wait_committed(stage: Stage, count: int, *processes: Process) -> None:
    deadline = time.monotonic() + 60
    while stage.committed() < count:
        logs = "\n\n".join(process.log for process in processes)
        assert all(process.exit_code is None for process in processes), logs
        assert time.monotonic() < deadline, logs
        time.sleep(0.05)


def once_each(stage: Stage) -> None:
    """Every prediction is there, once."""
    got = read_outputs(stage)
    assert got.predictions == expected_slates(stage.read(stage.events), stage.model)
    assert got.repeats == 0


@pytest.mark.parametrize("named", ["group_instance_id", "transactional_id"])
def test_a_zombie_of_the_same_name_ends_and_what_it_held_is_aborted(
    broker: Broker, tmp_path: Path, named: str
) -> None:
    """Stopped with its transaction written and its offsets sent: only the commit is missing."""
    stage = Stage(broker, toy_bundle(tmp_path / "model"), partitions=1)
    names = {
        "group_instance_id": {"group_instance_id": "one"},
        "transactional_id": {"group_instance_id": None, "transactional_id": stage.group},
    }[named]
    with nursery(tmp_path) as found:
        stage.produce(clicks(40))
        zombie = start(found, stage, **names)
        zombie.hold_at("before commit")
        zombie.signal(signal.SIGSTOP)
        heir = start(found, stage, **names)
        wait_committed(stage, 40, heir)
        zombie.watch.stop_at(None)
        zombie.signal(signal.SIGCONT)
        assert zombie.wait() == FENCED, zombie.log
        assert "took our place" in zombie.log.splitlines()[-1]
        assert "Traceback" not in zombie.log
        stage.produce(clicks(20, first=40))
        wait_committed(stage, 60, heir)
        assert heir.stop() == 0, heir.log
    once_each(stage)


def test_a_zombie_without_events_ends_too(some_broker: Broker, tmp_path: Path) -> None:
    """It commits nothing, so that only its heartbeats are refused."""
    stage = Stage(some_broker, toy_bundle(tmp_path / "model"), partitions=1)
    with nursery(tmp_path) as found:
        zombie = start(found, stage, delivery="at-least-once")
        zombie.wait_log("emitting from offset 0")
        zombie.signal(signal.SIGSTOP)
        heir = start(found, stage, delivery="at-least-once")
        heir.wait_log("emitting from offset 0")
        zombie.signal(signal.SIGCONT)
        assert zombie.wait() == FENCED, zombie.log
        assert "give each process its own group_instance_id" in zombie.log.splitlines()[-1]
        assert heir.stop() == 0, heir.log


def test_a_process_whose_place_is_free_again_joins_anew(
    some_broker: Broker, tmp_path: Path
) -> None:
    """A killed broker may come back with a dead member in our place; so does a heir that died."""
    stage = Stage(some_broker, toy_bundle(tmp_path / "model"), partitions=1)
    with nursery(tmp_path) as found:
        stage.produce(clicks(40))
        process = start(found, stage)
        wait_committed(stage, 40, process)
        heir = KafkaConsumer(
            stage.events,
            bootstrap_servers=some_broker.bootstrap_servers,
            group_id=stage.group,
            group_instance_id="one",
            session_timeout_ms=6000,
            enable_auto_commit=False,
            partition_assignment_strategy=[CooperativeStickyAssignor],
        )
        while not heir.assignment():
            heir.poll(timeout_ms=100, max_records=1)
        heir.close(autocommit=False)  # a static member does not leave
        process.wait_log("joining anew")
        stage.produce(clicks(20, first=40))
        wait_committed(stage, 60, process)
        assert process.stop() == 0, process.log
    once_each(stage)


def test_a_transaction_open_for_too_long_is_written_again(
    apache_broker: Broker, tmp_path: Path
) -> None:
    """The cluster fences a producer whose transaction it aborts; nobody took its place."""
    stage = Stage(apache_broker, toy_bundle(tmp_path / "model"), partitions=1)
    with nursery(tmp_path) as found:
        stage.produce(clicks(40))
        process = start(found, stage, transaction_timeout_s=1)
        process.hold_at("before commit")
        time.sleep(2.5)
        process.watch.stop_at(None)
        wait_committed(stage, 40, process)
        assert "writing it again in a new one" in process.log
        assert process.stop() == 0, process.log
    once_each(stage)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("after poll", marks=pytest.mark.soak),
        pytest.param("after flush", marks=pytest.mark.soak),
        "before commit",
    ],
)
def test_a_member_of_a_stale_generation_writes_nothing_and_joins_anew(
    apache_broker: Broker, tmp_path: Path, place: str
) -> None:
    """It hung for longer than its session: another daemon, of another name, has its partitions."""
    stage = Stage(apache_broker, toy_bundle(tmp_path / "model"), partitions=2)
    with nursery(tmp_path) as found:
        stage.produce(clicks(60))
        stale = start(found, stage, group_instance_id=None, transactional_id=f"{stage.group}-a")
        stale.hold_at(place)
        stale.signal(signal.SIGSTOP)
        other = start(found, stage, group_instance_id=None, transactional_id=f"{stage.group}-b")
        wait_committed(stage, 60, other)
        stale.watch.stop_at(None)
        stale.signal(signal.SIGCONT)
        stale.wait_log(r"lost: \[")
        stage.produce(clicks(40, first=60))
        wait_committed(stage, 100, other, stale)
        assert stale.stop() == 0, stale.log
        assert other.stop() == 0, other.log
    once_each(stage)
