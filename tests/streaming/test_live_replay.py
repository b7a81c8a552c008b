"""``replay --through-kafka`` as a command: its answers, and what is left when it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from stream_support import toy_bundle

#: 60 events of 12 sessions, a second apart.
_ROWS = (
    "SELECT 's' || (i % 12) session_id, format('i{:02d}', (i * i) % 12) item_id, "
    "1700000000000 + i * 1000 ts FROM range(60) t(i) ORDER BY i % 12, i"
)


def _command(tmp_path: Path, *more: str) -> list[str]:
    tmp_path.mkdir(exist_ok=True)
    sessions = tmp_path / "test.parquet"
    duckdb.execute(f"COPY ({_ROWS}) TO '{sessions}' (FORMAT parquet)")
    model = toy_bundle(tmp_path / "toy")
    command = [sys.executable, "-m", "session_rec.cli", "replay"]
    return [*command, "--model", str(model), "--sessions", str(sessions), *more]


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _started(replay: subprocess.Popen[str]) -> list[int]:
    """The replay's broker and daemon, as soon as there are both."""
    until = time.monotonic() + 60
    while len(children := _children(replay.pid)) < 2:
        assert replay.poll() is None and time.monotonic() < until, children
        time.sleep(0.02)
    return children


def _runs(pid: int) -> bool:
    """Whether there is such a process: a zombie, which only waits to be reaped, is none."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _assert_gone(pids: list[int]) -> None:
    until = time.monotonic() + 30
    while left := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < until, [Path(f"/proc/{p}/cmdline").read_bytes() for p in left]
        time.sleep(0.05)


def test_a_live_replay_is_as_good_as_one_in_process(tmp_path: Path) -> None:
    figures = []
    for more in ((), ("--through-kafka",)):
        file = tmp_path / f"figures{len(more)}.json"
        subprocess.run(_command(tmp_path / str(len(more)), *more, "--json", str(file)), check=True)
        figures.append(json.loads(file.read_text()))
    here, live = figures
    assert live["missing"] == 0
    assert live["metrics"] == here["metrics"]
    assert live["protocol"]["questions"] == here["protocol"]["questions"] == 48


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_it_leaves_no_process_and_no_traceback(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = _command(tmp_path, "--through-kafka", "--rate", "1")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as replay:
        started = _started(replay)
        if number == signal.SIGINT:
            os.killpg(replay.pid, number)  # as a terminal does: broker and daemon hear it too
        else:
            replay.send_signal(number)
        output, _ = replay.communicate(timeout=60)
    assert (replay.returncode, "Traceback" in output) == (code, False), output
    _assert_gone(started)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_it_leaves_no_process(tmp_path: Path) -> None:
    # The broker is gone at once: the daemon has nobody to commit to and gives up after so long.
    more = ("--rate", "1", "--set", "shutdown_timeout_s=1")
    command = _command(tmp_path, "--through-kafka", *more)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as replay:
        started = _started(replay)
        replay.kill()
    _assert_gone(started)
