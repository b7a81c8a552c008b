"""A daemon in a process of its own, its log kept."""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import IO

START_S = 60  # for a daemon to be up, on a busy machine
_PROGRAM = Path(__file__).with_name("forked_stream.py")
_REPOSITORY = Path(__file__).resolve().parents[2]
_turns = itertools.count()


class ForkedProcess:
    """A process that another one forked for us, with the calls of ``subprocess.Popen`` for it.

    ``told`` is the pipe that its id and, in the end, its exit code come from; ``stderr`` its log.
    """

    def __init__(self, told: IO[str], stderr: IO[str]) -> None:
        self._told = told
        self.stderr = stderr
        self.returncode: int | None = None
        line = told.readline()
        assert line, "the process that forks daemons has ended"
        self.pid = int(line)

    def poll(self) -> int | None:
        """The exit code, minus the signal that ended it; None while it runs."""
        self._wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit code, once it has ended."""
        self._wait(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("session-rec stream", timeout)
        return self.returncode

    def _wait(self, timeout: float) -> None:
        if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
            self.returncode = int(self._told.readline() or -signal.SIGKILL)
            self._told.close()

    def send_signal(self, number: int) -> None:
        """To this one process."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


@functools.cache
def _forks(seed: int) -> socket.socket:
    """Where to ask for processes; they all end with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        program = subprocess.Popen(
            [sys.executable, str(_PROGRAM), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(_REPOSITORY)},
        )

    def end() -> None:
        ours.close()
        program.wait(START_S)

    atexit.register(end)
    return ours


def fork_stream(settings: list[str], env: dict[str, str]) -> ForkedProcess:
    """``session-rec stream`` as a fork.

    Two processes take turns, so that a daemon never hashes as the one before it did: what it makes
    must not hang on that.
    """
    log, log_end = os.pipe()
    told, told_end = os.pipe()
    order = json.dumps({"settings": settings, "env": env}).encode()
    socket.send_fds(_forks(1 + next(_turns) % 2), [order], [log_end, told_end])
    os.close(log_end)
    os.close(told_end)
    return ForkedProcess(os.fdopen(told), os.fdopen(log, errors="replace"))


def start_stream(settings: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    """``session-rec stream`` as a shell starts it."""
    command = [sys.executable, "-m", "session_rec.cli", "stream"]
    for setting in settings:
        command += ["--set", setting]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=env
    )


class DaemonProcess:
    """``session-rec stream`` with these settings.

    Args:
        env: more variables of its environment; it is then started as a shell does it, for an
            interpreter and its imports look at them. Else it is forked, which is faster.
    """

    def __init__(self, settings: list[str], env: dict[str, str] | None = None) -> None:
        start = fork_stream if env is None else start_stream
        self.popen = start(settings, os.environ | {"COLUMNS": "1000"} | (env or {}))
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        with self.popen.stderr as log:
            for line in log:
                self.lines.append(line.rstrip("\n"))

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def wait_log(self, pattern: str, timeout_s: float = START_S) -> str:
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.log)):
            assert self.popen.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.02)
        return found.group()

    def wait(self, timeout_s: float = START_S) -> int:
        code = self.popen.wait(timeout_s)
        self._reader.join(5)
        return code

    def stop(self) -> int:
        """SIGTERM, then the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.popen.kill()
        self.wait()

    def end(self) -> None:
        if self.popen.poll() is None:
            self.kill()

    def metrics(self) -> dict[str, float]:
        """Sample name with labels -> value."""
        url = self.wait_log(r"http://\S+/metrics")
        with urllib.request.urlopen(url, timeout=5) as response:
            text = response.read().decode()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in samples}
