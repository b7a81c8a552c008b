"""Alive and ready are what they say; systemd hears the same."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from stream_support import LATENESS_MS, RULES

from session_rec.events import Event
from streaming import health as health_module
from streaming import notify as notify_module
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.health import Health
from streaming.notify import Notifier
from streaming.pipeline import Partition


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(health_module, "time", clock)
    monkeypatch.setattr(notify_module, "time", clock)
    return clock


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(str(tmp_path / "notify"))
    s.settimeout(5)
    return s


def notifier(manager: socket.socket, **more: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.getsockname(), **more})


def heard(manager: socket.socket) -> list[str]:
    manager.setblocking(False)
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode())
        except BlockingIOError:
            return messages


def partition(emit_from: int) -> Partition:
    contexts = PartitionContexts(ContextSettings(RULES, LATENESS_MS), 0)
    return Partition("events-0", contexts, emit_from, emit_from)


def test_ready_only_as_a_member_whose_contexts_are_rebuilt(clock: Clock) -> None:
    health = Health(60, Notifier({}))
    assert health.readiness() == {
        "ready": False, "obstacle": "not a member of the group yet", "partitions": {},
    }  # fmt: skip
    health.partitions[3] = partition(emit_from=2)
    health.beat(joined=True)
    assert health.readiness() == {
        "ready": False, "obstacle": "contexts are being rebuilt", "partitions": {"3": "rebuilding"},
    }  # fmt: skip
    for offset in range(2):
        health.partitions[3].contexts.add(Event("s", "i", offset), offset)
    assert health.readiness() == {
        "ready": True, "obstacle": None, "partitions": {"3": "serving"},
    }  # fmt: skip
    health.beat(joined=False)
    assert not health.ready
    health.beat(joined=True)
    assert health.ready
    health.stop()
    assert health.readiness()["obstacle"] == "stopping" and health.alive


def test_a_member_without_a_partition_is_ready(clock: Clock) -> None:
    health = Health(60, Notifier({}))
    health.beat(joined=True)
    assert health.readiness() == {"ready": True, "obstacle": None, "partitions": {}}


def test_a_loop_that_is_stuck_is_neither_alive_nor_ready(clock: Clock) -> None:
    health = Health(60, Notifier({}))
    health.beat(joined=True)
    clock.now += 60
    assert health.alive and health.ready
    clock.now += 1
    assert not health.alive
    assert health.liveness() == {"alive": False, "last_round_age_s": 61.0}
    assert health.readiness()["obstacle"] == "no round in 61 s"
    health.beat(joined=True)
    assert health.alive and health.ready


def test_systemd_hears_ready_once_and_stopping(clock: Clock, manager: socket.socket) -> None:
    health = Health(60, notifier(manager))
    health.beat(joined=False)
    assert heard(manager) == []
    health.partitions[0] = partition(emit_from=10)  # being rebuilt: no reason to wait
    health.beat(joined=True)
    health.beat(joined=True)
    assert [m.splitlines()[0] for m in heard(manager)] == ["READY=1"]
    health.stop()
    assert [m.splitlines()[0] for m in heard(manager)] == ["STOPPING=1"]


def test_the_watchdog_is_fed_twice_per_period_while_rounds_are_done(
    clock: Clock, manager: socket.socket
) -> None:
    health = Health(60, notifier(manager, WATCHDOG_USEC="10000000", WATCHDOG_PID=str(os.getpid())))
    fed = []
    for _ in range(200):
        clock.now += 0.2
        health.beat(joined=False)
        fed += heard(manager)
    assert fed == ["WATCHDOG=1"] * 8
    other = Health(60, notifier(manager, WATCHDOG_USEC="10000000", WATCHDOG_PID="1"))
    other.beat(joined=False)
    nonsense = Health(60, notifier(manager, WATCHDOG_USEC="soon"))
    nonsense.beat(joined=False)
    assert heard(manager) == []


def test_an_abstract_name_and_a_manager_that_is_gone(tmp_path: Path) -> None:
    name = f"session-rec-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind("\0" + name)
        assert Notifier({"NOTIFY_SOCKET": "@" + name}).send("READY=1", "STATUS=x")
        assert s.recv(100) == b"READY=1\nSTATUS=x"
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send("READY=1")
    assert not Notifier({}).send("READY=1")
