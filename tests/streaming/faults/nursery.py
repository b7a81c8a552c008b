"""Daemons of a test, each a process: started, made to stand still, killed by its id."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stages import Watch

_PROGRAM = Path(__file__).with_name("staged_daemon.py")
_REPOSITORY = Path(__file__).resolve().parents[3]


class Process:
    """A daemon; ``directory`` holds what it leaves behind."""

    def __init__(self, pid: int, directory: Path) -> None:
        self.pid = pid
        self.watch = Watch(directory)
        self._directory = directory

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal that ended it."""
        try:
            return int((self._directory / "exit").read_text())
        except FileNotFoundError:
            return None

    @property
    def log(self) -> str:
        """What it said so far."""
        path = self._directory / "log"
        return path.read_text() if path.exists() else ""

    def wait_log(self, pattern: str, timeout_s: float = 60) -> str:
        """Returns once a line of the log matches."""
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.log)):
            assert self.exit_code is None and time.monotonic() < deadline, self.log
            time.sleep(0.02)
        return found.group()

    def hold_at(self, place: str, timeout_s: float = 60) -> None:
        """Returns once it stands still there; ``watch.stop_at(None)`` lets it go on."""
        self.watch.stop_at(place)
        deadline = time.monotonic() + timeout_s
        while not self.watch.stopped:
            assert self.exit_code is None and time.monotonic() < deadline, self.log
            time.sleep(0.005)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to this one process."""
        if self.exit_code is None:
            os.kill(self.pid, number)

    def wait(self, timeout_s: float = 120) -> int:
        """Its exit code, once it has ended."""
        deadline = time.monotonic() + timeout_s
        while (code := self.exit_code) is None:
            assert time.monotonic() < deadline, f"still running after {timeout_s} s:\n{self.log}"
            time.sleep(0.01)
        return code

    def kill(self) -> str:
        """SIGKILL; returns the place where it was."""
        self.signal(signal.SIGKILL)
        self.wait()
        return self.watch.place

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def contexts(self) -> dict[str, Any]:
        """Partition -> its live sessions, as it left them when it stopped."""
        found: dict[str, Any] = json.loads((self._directory / "contexts.json").read_text())
        return found


class Nursery:
    """Starts processes; all of them end with it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count = 0
        self._program = subprocess.Popen(
            [sys.executable, str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {
                "COLUMNS": "1000",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join(
                    [str(_REPOSITORY), str(_PROGRAM.parent), str(_PROGRAM.parents[1])]
                ),
            },
        )

    def start(self, settings: Sequence[str]) -> Process:
        """A daemon with these settings."""
        directory = self._directory / f"daemon-{self._count:03d}"
        self._count += 1
        directory.mkdir(parents=True)
        assert self._program.stdin is not None and self._program.stdout is not None
        order = {"directory": str(directory), "settings": list(settings)}
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()
        return Process(int(self._program.stdout.readline()), directory)

    def close(self) -> None:
        """Kills every process that still runs."""
        self._program.kill()  # each of them asked the kernel to end with it
        self._program.wait()
        for pipe in (self._program.stdin, self._program.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def nursery(directory: Path) -> Iterator[Nursery]:
    """A :class:`Nursery` for the time of the block."""
    found = Nursery(directory)
    try:
        yield found
    finally:
        found.close()
