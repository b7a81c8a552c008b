"""The format of a snapshot file, checked at every byte.

A file is a line that names the format, then records of ``checksum, length, payload``: a header,
the sessions, an end that counts them. A session is erased in place: its payload is overwritten by
zeros and the offset of its tombstone.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from zlib import crc32

import msgspec

from session_rec.sessions import SessionRules
from streaming.contexts import StateMoment
from streaming.live_sessions import LiveSession

FORMAT = b"session-rec state 1\n"

FRAME = struct.Struct("<II")  # CRC-32 of what follows it, and the length of the payload
ERASED = struct.Struct("<BQ")  # kind and the offset of the tombstone
END = struct.Struct("<BQ")  # kind and the number of sessions
KIND_ERASED, KIND_END = 0, 1  # a session itself begins with what msgpack begins an array with


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


def frame(payload: bytes) -> bytes:
    """The record of a payload."""
    rest = len(payload).to_bytes(4, "little") + payload
    return crc32(rest).to_bytes(4, "little") + rest


def payloads_of(data: memoryview) -> Iterator[tuple[int, bytes]]:
    """Position and payload of each record of a file.

    Raises:
        SnapshotError: it is damaged, at any byte.
    """
    if data[: len(FORMAT)] != FORMAT:
        raise SnapshotError("it is of no format that this version knows")
    at, end, unpack = len(FORMAT), len(data), FRAME.unpack_from
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


def header_in(payload: bytes) -> SnapshotHeader:
    """The header in the first record. Raises :class:`SnapshotError` where it is none."""
    try:
        return msgspec.msgpack.decode(payload, type=SnapshotHeader)
    except msgspec.DecodeError as e:
        raise SnapshotError(f"its header cannot be read: {e}") from None


def erase_record(fd: int, position: int, session_id: str, offset: int) -> bool:
    """Overwrites the record at ``position`` if it is of this session; returns whether it is."""
    _, length = FRAME.unpack(os.pread(fd, FRAME.size, position))
    payload = os.pread(fd, length, position + FRAME.size)
    if payload[0] == KIND_ERASED:
        return False
    if LiveSession.unpack(payload, SessionRules()).session_id != session_id:
        return False
    blank = ERASED.pack(KIND_ERASED, offset).ljust(length, b"\0")
    os.pwrite(fd, frame(blank), position)
    return True
