"""The state of a partition in one local file: written whole or not at all, checked at every byte.

A file is a line that names the format, then records of ``checksum, length, payload``: a header,
the sessions, an end that counts them. A session is erased in place: its payload is overwritten by
zeros and the offset of its tombstone.
"""

from __future__ import annotations

import gc
import mmap
import os
import struct
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from session_rec.sessions import SessionRules
from streaming.contexts import StateMoment
from streaming.erasures import sync_directory
from streaming.live_sessions import LiveSession

FORMAT = b"session-rec state 1\n"

_FRAME = struct.Struct("<II")  # CRC-32 of what follows it, and the length of the payload
_ERASED = struct.Struct("<BQ")  # kind and the offset of the tombstone
_END = struct.Struct("<BQ")  # kind and the number of sessions
_KIND_ERASED, _KIND_END = 0, 1  # a session itself begins with what msgpack begins an array with


class SnapshotError(Exception):
    """The file cannot be used; the message says why."""


class SnapshotHeader(msgspec.Struct, frozen=True):
    """What a snapshot stands for.

    Attributes:
        group: consumer group, whose commits it belongs to.
        topic, partition: of the events topic.
        topic_id: the cluster's id of the topic, other for one made anew; None where it has none.
        settings: :meth:`ContextSettings.of_state`.
        moment: the state without its sessions.
    """

    group: str
    topic: str
    partition: int
    topic_id: str | None
    settings: dict[str, str | int | None]
    moment: StateMoment


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
            erased = sum(_erase(fd, *each) for each in found)
            os.fsync(fd)
        finally:
            os.close(fd)
        return erased

    def _places(self, value: int) -> range:
        first = int(np.searchsorted(self._hashes, value, "left"))
        return range(first, int(np.searchsorted(self._hashes, value, "right")))


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
                _erase(self._file.fileno(), self._positions[place], name, offset)
                for place in np.flatnonzero(hashes == hash(name)).tolist()
            ]
            if not any(written):
                self._count += 1
                self._write(_ERASED.pack(_KIND_ERASED, offset))

    def place(self) -> None:
        """Makes the file durable and gives it its name, in the background."""
        self._check()
        self._write(_END.pack(_KIND_END, self._count))
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
        self._at += self._file.write(_frame(payload))

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
            payloads = _payloads(data)
            header = _header(next(payloads)[1])
            try:
                for position, payload in payloads:
                    if count is not None:
                        raise SnapshotError("it goes on after its end")
                    if payload[0] == _KIND_ERASED:
                        erased += 1
                        erased_at = max(erased_at, _ERASED.unpack_from(payload)[1])
                    elif payload[0] == _KIND_END:
                        count = _END.unpack(payload)[1]
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


def temporary(path: Path) -> Path:
    """The name of a snapshot while it is written."""
    return path.with_name(f".{path.name}.tmp")


def _frame(payload: bytes) -> bytes:
    rest = len(payload).to_bytes(4, "little") + payload
    return crc32(rest).to_bytes(4, "little") + rest


def _payloads(data: memoryview) -> Iterator[tuple[int, bytes]]:
    """Position and payload of each record."""
    if data[: len(FORMAT)] != FORMAT:
        raise SnapshotError("it is of no format that this version knows")
    at, end, unpack = len(FORMAT), len(data), _FRAME.unpack_from
    while at < end:
        if at + 8 > end:
            raise SnapshotError("it is cut off")
        checksum, length = unpack(data, at)
        after = at + 8 + length
        if after > end:
            raise SnapshotError("it is cut off")
        if crc32(data[at + 4 : after]) != checksum:
            raise SnapshotError("its checksum is wrong")
        yield at, bytes(data[at + 8 : after])
        at = after
    if at == len(FORMAT):
        raise SnapshotError("it is cut off")


def _header(payload: bytes) -> SnapshotHeader:
    try:
        return msgspec.msgpack.decode(payload, type=SnapshotHeader)
    except msgspec.DecodeError as e:
        raise SnapshotError(f"its header cannot be read: {e}") from None


def _erase(fd: int, position: int, session_id: str, offset: int) -> bool:
    """Overwrites the record at ``position`` if it is of this session."""
    _, length = _FRAME.unpack(os.pread(fd, _FRAME.size, position))
    payload = os.pread(fd, length, position + _FRAME.size)
    if payload[0] == _KIND_ERASED:
        return False
    if LiveSession.unpack(payload, SessionRules()).session_id != session_id:
        return False
    blank = _ERASED.pack(_KIND_ERASED, offset).ljust(length, b"\0")
    os.pwrite(fd, _frame(blank), position)
    return True
