"""The file of all studies: one line per change, of which a kill can cut off no more than the last.

Optuna brings two storages that are a file. Its own journal file does not survive a SIGKILL in the
middle of a write: once a line is written behind the half one, reading ends in "Invalid log
format", and its lock stays behind as a link. SQLite does, but takes .2 s of CPU per trial, and as
much again to make a file: more than many a trial of a counted model. This is the journal with the
two faults taken away: half a line is removed when the file is opened, and the lock is on the
directory and dies with the process (training/tune/job.py). The lines are Optuna's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from session_rec.errors import DataError


class JournalFile(BaseJournalBackend):
    """Optuna's changes in a file that one process at a time writes.

    Raises:
        DataError: the file is damaged otherwise than by a kill, or none of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        content = path.read_bytes() if path.is_file() else b""
        whole = content[: content.rfind(b"\n") + 1]
        try:
            self._logs: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
            if not all(isinstance(log, dict) and "op_code" in log for log in self._logs):
                raise ValueError
        except ValueError:
            raise DataError(
                f"{path} is no journal of a search, or damaged: choose another --out"
            ) from None
        if content != whole:
            with path.open("r+b") as f:
                f.truncate(len(whole))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The changes from a number on, counted from 0."""
        yield from self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds changes; they are on the disk when this returns."""
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        with self._path.open("ab") as f:
            f.write("".join(lines).encode())
            f.flush()
            os.fsync(f.fileno())
        # As they will be read, so that a search that goes on sees what one that went through saw.
        self._logs += [json.loads(line) for line in lines]
