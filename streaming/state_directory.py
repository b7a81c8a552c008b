"""The directory of a daemon's snapshots, which belongs to one process."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from kafka import TopicPartition

from session_rec.errors import UserError

log = logging.getLogger(__name__)

_SUFFIX = ".state"


class StateDirectory:
    """Names the files, one for each partition, and takes away what must not stay.

    Args:
        path: where; made if it is not there. What a process left half written there goes.

    Raises:
        UserError: the directory cannot be made, or another process uses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _own(path)
        for left in path.glob(f".*{_SUFFIX}.tmp"):
            left.unlink(missing_ok=True)

    def file(self, tp: TopicPartition) -> Path:
        """Where the snapshot of a partition is, or would be."""
        return self.path / f"{tp.topic}-{tp.partition}{_SUFFIX}"

    def sweep(self, ours: Iterable[TopicPartition]) -> None:
        """Takes away the snapshots of all other partitions."""
        for path in set(self.path.glob(f"*{_SUFFIX}")) - {self.file(tp) for tp in ours}:
            log.info("the snapshot %s is of a partition that is not ours: it goes", path)
            with suppress(OSError):
                path.unlink()

    def remove(self, tp: TopicPartition) -> None:
        """Takes away the snapshot of a partition, if there is one.

        Raises:
            UserError: that cannot be done.
        """
        path = self.file(tp)
        try:
            path.unlink(missing_ok=True)
        except OSError as e:
            raise UserError(
                f"the snapshot {path} cannot be removed ({e.strerror}), and may hold sessions that "
                "were erased: remove it by hand"
            ) from None

    def close(self) -> None:
        """Gives the directory free."""
        os.close(self._lock)


def _own(directory: Path) -> int:
    """Takes the directory for this process, until it ends."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise UserError(
            f"state_dir {directory} cannot be used ({e.strerror}): choose another place"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UserError(
            f"another process uses state_dir {directory}: give each daemon one of its own"
        ) from None
    return lock
