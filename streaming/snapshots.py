"""Snapshots in their place: read back, and erased from."""

from __future__ import annotations

import gc
import mmap
import os
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from session_rec.sessions import SessionRules
from streaming.live_sessions import LiveSession
from streaming.snapshot_format import (
    END,
    ERASED,
    KIND_END,
    KIND_ERASED,
    SnapshotError,
    SnapshotHeader,
    erase_record,
    header_in,
    payloads_of,
)


class Snapshot:
    """A file that is in its place.

    Attributes:
        path: where.
        offset: the offset after the last record that it holds.
    """

    def __init__(self, path: Path, offset: int, hashes: array[int], positions: array[int]) -> None:
        self.path = path
        self.offset = offset
        # Of this process only: Python's hashes differ from process to process.
        order = np.argsort(np.frombuffer(hashes, np.int64), kind="stable")
        self._hashes: NDArray[np.int64] = np.frombuffer(hashes, np.int64)[order]
        self._positions: NDArray[np.int64] = np.frombuffer(positions, np.int64)[order]

    def erase(self, sessions: dict[str, int]) -> int:
        """Overwrites sessions, given with the offsets of their tombstones, durably.

        Returns:
            How many of them the file held.

        Raises:
            OSError: it cannot be written.
        """
        found = [
            (int(self._positions[place]), name, offset)
            for name, offset in sessions.items()
            for place in self._places(hash(name))
        ]
        if not found:
            return 0
        fd = os.open(self.path, os.O_RDWR)
        try:
            erased = sum(erase_record(fd, *each) for each in found)
            os.fsync(fd)
        finally:
            os.close(fd)
        return erased

    def _places(self, value: int) -> range:
        first = int(np.searchsorted(self._hashes, value, "left"))
        return range(first, int(np.searchsorted(self._hashes, value, "right")))


def read(
    path: Path, rules: SessionRules
) -> tuple[SnapshotHeader, list[LiveSession], int, Snapshot]:
    """The header, the sessions, the offset of the newest tombstone that was carried out in the
    file (-1 without one), and the file itself.

    Raises:
        SnapshotError: it is damaged at any byte.
        OSError: it cannot be read.
    """
    sessions: list[LiveSession] = []
    hashes, positions = array("q"), array("q")
    erased_at, erased, count = -1, 0, None
    unpack = LiveSession.unpack
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise SnapshotError("it is empty")
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as data,
        ):
            payloads = payloads_of(data)
            header = header_in(next(payloads)[1])
            try:
                for position, payload in payloads:
                    if count is not None:
                        raise SnapshotError("it goes on after its end")
                    if payload[0] == KIND_ERASED:
                        erased += 1
                        erased_at = max(erased_at, ERASED.unpack_from(payload)[1])
                    elif payload[0] == KIND_END:
                        count = END.unpack(payload)[1]
                    else:
                        session = unpack(payload, rules)
                        sessions.append(session)
                        hashes.append(hash(session.session_id))
                        positions.append(position)
            except (msgspec.DecodeError, struct.error, IndexError) as e:
                raise SnapshotError(f"it is damaged: {e}") from None
    if count != len(sessions) + erased:
        raise SnapshotError("its end is missing")
    found = Snapshot(path, header.moment.next_offset, hashes, positions)
    return header, sessions, erased_at, found


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's collector would go through all that was read, again and again, and find nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
