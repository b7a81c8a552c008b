"""Child processes never outlive the one that started them, whenever a signal comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from session_rec.signals import signals_held_back
from streaming import child_process

SLEEP = ["sleep", "60"]


@pytest.fixture(autouse=True)
def exits_on_sigterm() -> Iterator[None]:
    """As the command line does."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_right_after_the_fork_leaves_no_orphan(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **options))
        signal.raise_signal(number)  # here the child runs, and nobody has its Popen object yet
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with (
        pytest.raises((KeyboardInterrupt, SystemExit)) as caught,
        child_process.child_process(SLEEP),
    ):
        raise AssertionError("the block must not begin")
    assert caught.type is (KeyboardInterrupt if number == signal.SIGINT else SystemExit)
    assert started[0].returncode == -signal.SIGTERM


def test_it_is_stopped_when_the_block_raises() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        child_process.child_process(SLEEP, stdout=subprocess.PIPE) as process,
    ):
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGTERM
    assert process.stdin.closed and process.stdout.closed


def test_one_that_ignores_the_first_signal_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_STOP_S", 0.1)
    stubborn = "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); input()"
    command = [sys.executable, "-c", f"{stubborn}; signal.pause()"]
    with child_process.child_process(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
    assert process.returncode == -signal.SIGKILL


def test_signals_are_handled_as_before_once_the_block_ends() -> None:
    before = signal.getsignal(signal.SIGTERM)
    done = []
    with pytest.raises(SystemExit) as caught, signals_held_back():
        os.kill(os.getpid(), signal.SIGTERM)
        done.append(True)
    assert (done, caught.value.code) == ([True], 143)
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored_in_the_child() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        show = "import signal; print(signal.getsignal(2) is signal.SIG_IGN)"
        command = [sys.executable, "-c", show]
        with child_process.child_process(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.read() == "True\n"
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_works_outside_of_the_main_thread() -> None:
    codes = []

    def run() -> None:
        with child_process.child_process(SLEEP) as process:
            pass
        codes.append(process.returncode)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert codes == [-signal.SIGTERM]
