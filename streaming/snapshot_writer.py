"""Writes the state of a partition to one local file: whole or not at all."""

from __future__ import annotations

import os
import threading
from array import array
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from streaming.erasures import sync_directory
from streaming.live_sessions import LiveSession
from streaming.snapshot_format import (
    END,
    ERASED,
    FORMAT,
    KIND_END,
    KIND_ERASED,
    SnapshotHeader,
    erase_record,
    frame,
)
from streaming.snapshots import Snapshot


class SnapshotWriter:
    """Writes a snapshot under a temporary name, session by session.

    Args:
        path: the file's name once it is whole.
        header: what it stands for.

    Raises:
        OSError: it cannot be written; so every method.
    """

    def __init__(self, path: Path, header: SnapshotHeader) -> None:
        self._path = path
        self._offset = header.moment.next_offset
        self._tmp = temporary(path)
        # Nobody else's to read: sessions are of people.
        fd = os.open(self._tmp, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = open(fd, "w+b", buffering=1 << 20)  # noqa: SIM115
        self._hashes, self._positions = array("q"), array("q")
        self._at = self._file.write(FORMAT)
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._placed: Snapshot | None = None
        self._count = 0
        self._write(msgspec.msgpack.encode(header))

    def save(self, session: LiveSession) -> None:
        """Writes one session. What goes wrong is raised by :meth:`place`: this is called in the
        middle of a batch, which a full disk must not end."""
        if self._error is not None:
            return
        self._hashes.append(hash(session.session_id))
        self._positions.append(self._at)
        self._count += 1
        try:
            self._write(session.pack())
        except OSError as e:
            self._error = e

    def erase(self, sessions: dict[str, int]) -> None:
        """Overwrites sessions that were written, and notes the tombstones of those that were not
        yet: their sessions must not be saved any more."""
        self._check()
        self._file.flush()
        hashes = np.array(self._hashes, np.int64)
        for name, offset in sessions.items():
            written = [
                erase_record(self._file.fileno(), self._positions[place], name, offset)
                for place in np.flatnonzero(hashes == hash(name)).tolist()
            ]
            if not any(written):
                self._count += 1
                self._write(ERASED.pack(KIND_ERASED, offset))

    def place(self) -> None:
        """Makes the file durable and gives it its name, in the background."""
        self._check()
        self._write(END.pack(KIND_END, self._count))
        self._file.flush()
        self._thread = threading.Thread(target=self._place, daemon=True)
        self._thread.start()

    @property
    def placing(self) -> bool:
        """Whether :meth:`place` was called."""
        return self._thread is not None

    @property
    def placed(self) -> bool:
        """Whether what :meth:`place` began has ended, well or not."""
        return self._thread is not None and not self._thread.is_alive()

    def wait(self) -> Snapshot:
        """The file in its place, once it is there."""
        assert self._thread is not None
        self._thread.join()
        if self._placed is None:
            assert self._error is not None
            raise self._error
        return self._placed

    def abort(self) -> None:
        """Leaves nothing behind."""
        if self._thread is not None:
            self._thread.join()
        with suppress(OSError):
            self._file.close()
        self._tmp.unlink(missing_ok=True)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _write(self, payload: bytes) -> None:
        self._at += self._file.write(frame(payload))

    def _place(self) -> None:
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            os.rename(self._tmp, self._path)
        except OSError as e:
            self._error = e
            return
        try:
            sync_directory(self._path.parent)
        except OSError as e:
            # Nobody would know of what is in it, and so nobody erase it there.
            with suppress(OSError):
                self._path.unlink()
            self._error = e
            return
        self._placed = Snapshot(self._path, self._offset, self._hashes, self._positions)


def temporary(path: Path) -> Path:
    """The name of a snapshot while it is written."""
    return path.with_name(f".{path.name}.tmp")
