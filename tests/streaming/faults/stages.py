"""Places in the daemon's round where a test may have it stand still, to kill it exactly there.

The daemon knows nothing of this: :mod:`staged_daemon` wraps its methods. A process tells where it
is in one byte of a file that it shares with the test, and stands still where a file asks for it.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

REBALANCE = "rebalance"

#: In the order of a round. What is after a colon tells apart moments of one stage.
PLACES = (
    "idle",
    "after poll",
    "after score",
    "after produce",
    "after flush",
    "before commit",
    "after commit",
    f"{REBALANCE}: joined",  # the group has answered, the assignment is not asked for yet
    f"{REBALANCE}: told",  # the client knows of partitions given or taken
    f"{REBALANCE}: begins",  # contexts of a new partition are about to be rebuilt
)
STAGES = (*PLACES[1:7], REBALANCE)

_SIZE = 16  # byte 0: the place; bytes 8 to 15: rounds that committed
_WANTED, _STOPPED, _STATUS = "stop_at", "stopped", "status"


def stage_of(place: str) -> str:
    """The stage that a place belongs to."""
    return place.partition(":")[0]


class Announcer:
    """The daemon's end."""

    def __init__(self, directory: Path) -> None:
        self._wanted, self._stopped = directory / _WANTED, directory / _STOPPED
        self._memory = _map(directory / _STATUS)
        self._rounds = 0

    def at(self, place: str) -> None:
        """Passes a place, or stands still there for as long as the test says so."""
        self._memory[0] = PLACES.index(place)
        while self._is_wanted(place):
            self._stopped.touch()
            time.sleep(0.01)

    def _is_wanted(self, place: str) -> bool:
        try:
            return self._wanted.read_text() == place
        except FileNotFoundError:
            return False

    def round_done(self) -> None:
        """A batch is committed."""
        self._rounds += 1
        self._memory[8:16] = self._rounds.to_bytes(8, "little")


class Watch:
    """The test's end."""

    def __init__(self, directory: Path) -> None:
        self._wanted, self._stopped = directory / _WANTED, directory / _STOPPED
        self._memory = _map(directory / _STATUS)

    @property
    def place(self) -> str:
        """Where the process is, or was last."""
        return PLACES[self._memory[0]]

    @property
    def rounds(self) -> int:
        """Batches that it committed."""
        return int.from_bytes(self._memory[8:16], "little")

    def stop_at(self, place: str | None) -> None:
        """Asks it to stand still there; None takes that back."""
        if place is None:
            self._wanted.unlink(missing_ok=True)
            return
        written = self._wanted.with_suffix(".new")
        written.write_text(place)
        written.rename(self._wanted)

    @property
    def stopped(self) -> bool:
        """Whether it stands still."""
        return self._stopped.exists()


def _map(path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.ftruncate(descriptor, _SIZE)
        return mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)
