"""One live session: its buffer, what it weighs in memory, and its form as bytes.

A session read from a snapshot stays packed until an event touches it: most never are again, and
100,000 of them are there in the time that unpacking a few thousand would take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import msgspec

from session_rec.events import EVENT_TYPES
from session_rec.sessions import Entry, Outcome, SessionBuffer, SessionRules

#: Bytes that CPython takes for a session without entries: the object, its buffer with two lists,
#: its places in the table of sessions and in two heaps, its numbers. Measured by
#: tests/streaming/test_state_bounds.py, which holds the sum against the process's own size.
SESSION_BYTES = 1000
#: Bytes for an entry without its texts: the tuple, three integers, its place in the list.
ENTRY_BYTES = 200
#: Bytes for a text without its characters.
TEXT_BYTES = 64

#: One object per common type, whatever number of events name it.
_TYPES = {name: name for name in EVENT_TYPES}

Held = tuple[list[Entry], list[Entry]]


class _Head(msgspec.Struct, array_like=True, frozen=True):
    """What of a packed session is looked at before an event touches it; what follows is skipped."""

    session_id: str
    last_offset: int
    last_seen: int
    newest: int
    needed: int
    bytes: int


class _Packed(_Head, array_like=True, frozen=True):
    held: Held


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_Head).decode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def text_bytes(text: str) -> int:
    """Bytes that ``text`` takes at most."""
    return TEXT_BYTES + (len(text) if text.isascii() else 4 * len(text))


def entry_bytes(item: str, type: str) -> int:
    """Bytes that an entry of this item and type takes."""
    size = ENTRY_BYTES + text_bytes(item)
    return size if type in _TYPES else size + text_bytes(type)


class LiveSession:
    """A session of a partition.

    Attributes:
        session_id: whose.
        last_offset: offset of its last event.
        last_seen: stream time after its last event, milliseconds.
        alive: False once it was forgotten, given up or erased.
        bytes: the memory it takes, as counted here: a function of its events alone.
        epoch: number of the last capture that it needs no saving for.
    """

    __slots__ = (
        "session_id",
        "last_offset",
        "last_seen",
        "alive",
        "bytes",
        "epoch",
        "_rules",
        "_buffer",
        "_packed",
        "_head",
    )

    def __init__(self, session_id: str, rules: SessionRules, epoch: int = 0) -> None:
        self.session_id = session_id
        self.last_offset = -1
        self.last_seen = 0
        self.alive = True
        self.bytes = SESSION_BYTES + text_bytes(session_id)
        self.epoch = epoch
        self._rules = rules
        self._buffer: SessionBuffer | None = SessionBuffer(rules)
        self._packed: bytes | None = None
        self._head: _Head | None = None

    @classmethod
    def unpack(cls, data: bytes, rules: SessionRules) -> LiveSession:
        """The session that :meth:`pack` made bytes of.

        Raises:
            msgspec.DecodeError: the bytes are not a session.
        """
        session = cls.__new__(cls)
        head = session._head = _decode_head(data)
        session.session_id = head.session_id
        session.last_offset = head.last_offset
        session.last_seen = head.last_seen
        session.alive = True
        session.bytes = head.bytes
        session.epoch = 0
        session._rules = rules
        session._buffer = None
        session._packed = data
        return session

    def pack(self) -> bytes:
        """The session as bytes."""
        if self._packed is not None:
            return self._packed
        buffer = self.buffer
        return _encode(
            _Packed(
                self.session_id,
                self.last_offset,
                self.last_seen,
                buffer.newest_ts,
                buffer.first_needed,
                self.bytes,
                (buffer.entries, buffer.ghosts),
            )
        )

    @property
    def buffer(self) -> SessionBuffer:
        """Its events."""
        if self._buffer is None:
            assert self._packed is not None
            buffer = self._buffer = SessionBuffer(self._rules)
            buffer.entries, buffer.ghosts = _decode(self._packed).held
            self._packed = self._head = None
        return self._buffer

    @property
    def newest_ts(self) -> int:
        """Event time of its newest event, milliseconds."""
        return self.buffer.newest_ts if self._head is None else self._head.newest

    @property
    def first_needed(self) -> int:
        """The lowest offset that must be read again to have it again."""
        return self.buffer.first_needed if self._head is None else self._head.needed

    def add(self, item: str, ts: int, type: str, offset: int, seq: int | None) -> Outcome:
        """Takes an event, and weighs the session anew."""
        buffer = self.buffer
        entries, ghosts = buffer.entries, buffer.ghosts
        length, oldest, haunted = len(entries), entries[0] if entries else None, bool(ghosts)
        outcome = buffer.add(item, ts, _TYPES.get(type, type), offset, seq)
        if outcome is Outcome.DUPLICATE:
            return outcome
        if haunted or ghosts:
            self.bytes = SESSION_BYTES + text_bytes(self.session_id)
            self.bytes += sum(entry_bytes(e.item, e.type) for e in (*entries, *ghosts))
        elif len(entries) > length:
            self.bytes += entry_bytes(item, type)
        elif outcome is not Outcome.OUTSIDE:
            assert oldest is not None
            self.bytes += entry_bytes(item, type) - entry_bytes(oldest.item, oldest.type)
        return outcome

    def end(self) -> None:
        """It is gone, and so is what it held: a heap may keep the object itself for a while."""
        self.alive = False
        self._buffer = self._packed = self._head = None


class Capture:
    """Saves the sessions of one moment while the state moves on: in small steps, and whoever is
    about to change first (copy on write).

    Args:
        sessions: the sessions of that moment.
        epoch: a number higher than the ``epoch`` of each of them.
        save: called once with each session as it was at that moment.
    """

    def __init__(
        self, sessions: Iterable[LiveSession], epoch: int, save: Callable[[LiveSession], None]
    ) -> None:
        self._left = list(sessions)
        self._epoch = epoch
        self._save = save

    def before_change(self, session: LiveSession) -> None:
        """Saves the session if it was there at the moment and is not saved yet."""
        if session.epoch < self._epoch:
            session.epoch = self._epoch
            self._save(session)

    def leave_out(self, session: LiveSession) -> None:
        """Never saves the session, if it is not yet: it was erased."""
        session.epoch = self._epoch

    def step(self, seconds: float) -> bool:
        """Saves for so long, or a little more; True once all are saved."""
        deadline = time.perf_counter() + seconds
        left, before_change = self._left, self.before_change
        while left:
            for session in left[-32:]:
                before_change(session)
            del left[-32:]
            if time.perf_counter() >= deadline:
                break
        return not left
