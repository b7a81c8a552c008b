"""The live sessions of one partition: what they hold, when they are forgotten, how to have them
again.

Everything here is a function of the partition's records in offset order, never of the clock on the
wall, so that reading a range again gives the state that was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

import msgspec

from session_rec.events import Event
from session_rec.sessions import Entry, Outcome
from streaming.context_settings import ContextSettings
from streaming.lazy_heap import LazyMinHeap
from streaming.live_sessions import Capture, LiveSession

__all__ = ["ContextSettings", "Erasure", "Fate", "PartitionContexts", "StateMoment"]


class Fate(Enum):
    """What became of an event; the first two get a prediction."""

    NEWEST = "newest"  #: it is now the newest of its session
    OUT_OF_ORDER = "out_of_order"  #: it entered behind a newer one
    OVER_CAP = "over_cap"  #: it entered, but its session is faster than a person
    DUPLICATE = "duplicate"  #: same session, item, ts and type at another offset
    OUTSIDE = "outside"  #: older than everything in a full buffer
    LATE = "late"  #: older than stream time less the allowed lateness


_FATES = {
    Outcome.NEWEST: Fate.NEWEST,
    Outcome.OUT_OF_ORDER: Fate.OUT_OF_ORDER,
    Outcome.DUPLICATE: Fate.DUPLICATE,
    Outcome.OUTSIDE: Fate.OUTSIDE,
}


class Erasure(NamedTuple):
    """A session erased at its owner's wish.

    Attributes:
        session_id: whose.
        offset: of the tombstone.
        live: whether it was live.
    """

    session_id: str
    offset: int
    live: bool


class StateMoment(msgspec.Struct, frozen=True):
    """A partition's state at one moment, without its sessions.

    Attributes:
        next_offset: the offset after the last record it holds.
        stream_time: newest accepted ``ts``, milliseconds; None before the first.
        checkpoints: offsets and the stream time just before each, milliseconds.
        evicted: sessions that a cap had given up before.
    """

    next_offset: int
    stream_time: int | None
    checkpoints: list[tuple[int, int | None]]
    evicted: int


class PartitionContexts:
    """Live sessions of one partition.

    Records are handed over in offset order, each once: :meth:`add` for an event, :meth:`erase` for
    a tombstone, :meth:`skip` for anything else.

    Attributes:
        next_offset: the offset after the last record handed over.
        stream_time: newest accepted ``ts``, milliseconds; None before the first.
        bytes: memory of the live sessions, as :mod:`streaming.live_sessions` counts it.
        forgotten: sessions forgotten by stream time.
        evicted_sessions: sessions given up because there were more than ``max_sessions``.
        evicted_bytes: sessions given up because they took more than ``max_bytes``.
        evicted_before: sessions given up before the snapshot that this began with.
    """

    def __init__(
        self, settings: ContextSettings, start_offset: int, stream_time: int | None = None
    ) -> None:
        self._settings = settings
        self._checkpoints = deque([(start_offset, stream_time)])
        self._epoch = 0
        self._capture: Capture | None = None
        self._erasures: list[Erasure] = []
        self.next_offset = start_offset
        self.stream_time = stream_time
        self.forgotten = self.evicted_sessions = self.evicted_bytes = self.evicted_before = 0
        self._hold({})

    def _hold(self, sessions: dict[str, LiveSession]) -> None:
        self._sessions = sessions
        age = _last_seen if self._settings.rules.as_given else _newest
        self._by_age = LazyMinHeap(age, sessions.values())
        self._by_need = LazyMinHeap(_first_needed, sessions.values())
        self.bytes = sum(session.bytes for session in sessions.values())

    @classmethod
    def restore(
        cls, settings: ContextSettings, moment: StateMoment, sessions: Iterable[LiveSession]
    ) -> PartitionContexts:
        """The state of that moment, from its sessions as :meth:`capture` saved them."""
        contexts = cls(settings, moment.next_offset, moment.stream_time)
        contexts._checkpoints = deque(moment.checkpoints)
        contexts.evicted_before = moment.evicted
        contexts._hold({session.session_id: session for session in sessions})
        return contexts

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def evicted(self) -> int:
        """Sessions given up by either cap."""
        return self.evicted_sessions + self.evicted_bytes

    def add(self, event: Event, offset: int) -> Fate:
        """Takes the event at ``offset`` and says what became of it."""
        self.skip(offset)
        ts, settings = event.ts, self._settings
        now = self.stream_time
        if now is None or ts > now:
            self.stream_time = now = ts
            self._forget(now - settings.forget_after_ms)
        elif ts < now - settings.allowed_lateness_ms:
            return Fate.LATE
        session = self._sessions.get(event.session_id)
        fresh = session is None
        if session is None:
            if len(self._sessions) >= settings.max_sessions:
                self._evict()
                self.evicted_sessions += 1
            session = LiveSession(event.session_id, settings.rules, self._epoch)
        elif self._capture is not None:
            self._capture.before_change(session)
        bytes_before = 0 if fresh else session.bytes
        outcome = session.add(event.item_id, ts, event.type, offset, event.seq)
        session.last_offset = offset
        session.last_seen = now
        if fresh:
            self._sessions[event.session_id] = session
            self._by_age.push(session)
            self._by_need.push(session)
        self.bytes += session.bytes - bytes_before
        if settings.max_bytes is not None and self.bytes > settings.max_bytes:
            self._shrink(settings.max_bytes, session)
        buffer = session.buffer
        if settings.bot_span_ms and outcome in (Outcome.NEWEST, Outcome.OUT_OF_ORDER):
            full = len(buffer.entries) == settings.rules.max_length
            # A function of the context alone: of what lies behind a gap in the buffer, some may
            # have been forgotten, which the other sessions of the partition decide.
            context = buffer.context() if full else []
            if (
                len(context) == settings.rules.max_length
                and context[-1].clock - context[0].clock <= settings.bot_span_ms
            ):
                return Fate.OVER_CAP
        return _FATES[outcome]

    def erase(self, session_id: str, offset: int) -> bool:
        """Forgets a session at its owner's wish; True if there was one."""
        self.skip(offset)
        session = self._sessions.get(session_id)
        if session is not None:
            if self._capture is not None:
                self._capture.leave_out(session)
            self._drop(session)
        self._erasures.append(Erasure(session_id, offset, session is not None))
        return session is not None

    def take_erasures(self) -> list[Erasure]:
        """What was erased since the last call; it must leave the snapshots too."""
        erasures, self._erasures = self._erasures, []
        return erasures

    def skip(self, offset: int) -> None:
        """Passes a record that touches no session."""
        checkpoints = self._checkpoints
        if offset - checkpoints[-1][0] >= self._settings.checkpoint_every:
            checkpoints.append((offset, self.stream_time))
        self.next_offset = offset + 1

    def context(self, session_id: str) -> list[Entry]:
        """The context of a live session, oldest entry first; empty if it is not live."""
        session = self._sessions.get(session_id)
        return [] if session is None else session.buffer.context()

    def rebuild_from(self) -> tuple[int, int | None]:
        """``(offset, stream time just before it)``: reading from there gives this state again."""
        first = self._by_need.lowest()
        checkpoints = self._checkpoints
        # The same whenever it is asked, so that a state that was read back says it too.
        needed = self.next_offset if first is None else first.first_needed
        while len(checkpoints) > 1 and checkpoints[1][0] <= needed:
            checkpoints.popleft()
        return checkpoints[0]

    def moment(self) -> StateMoment:
        """The state of this moment, without its sessions."""
        self.rebuild_from()
        return StateMoment(
            self.next_offset,
            self.stream_time,
            list(self._checkpoints),
            self.evicted_before + self.evicted,
        )

    def capture(self, save: Callable[[LiveSession], None]) -> Capture:
        """Has the sessions of this moment saved while the state moves on, until
        :meth:`end_capture`."""
        self._epoch += 1
        self._capture = Capture(self._sessions.values(), self._epoch, save)
        return self._capture

    def end_capture(self) -> None:
        """No session needs saving any more."""
        self._capture = None

    def snapshot(self) -> dict[str, list[Entry]]:
        """The buffer of every live session."""
        return {k: list(s.buffer.entries) for k, s in self._sessions.items()}

    def short(self) -> int:
        """Live sessions that hold fewer than ``max_length`` events."""
        full = self._settings.rules.max_length
        return sum(len(s.buffer.entries) < full for s in self._sessions.values())

    def _forget(self, before: int) -> None:
        by_age = self._by_age
        key_of = by_age.key_of
        while (oldest := by_age.lowest()) is not None and key_of(oldest)[0] < before:
            self._drop(oldest)
            self.forgotten += 1

    def _evict(self) -> None:
        oldest = self._by_age.lowest()
        assert oldest is not None
        self._drop(oldest)

    def _shrink(self, max_bytes: int, newest: LiveSession) -> None:
        while self.bytes > max_bytes and self._by_age.lowest() is not newest:
            self._evict()
            self.evicted_bytes += 1

    def _drop(self, session: LiveSession) -> None:
        if self._capture is not None:
            self._capture.before_change(session)
        del self._sessions[session.session_id]
        self.bytes -= session.bytes
        session.end()


def _newest(session: LiveSession) -> tuple[int, int]:
    return session.newest_ts, session.last_offset


def _last_seen(session: LiveSession) -> tuple[int, int]:
    return session.last_seen, session.last_offset


def _first_needed(session: LiveSession) -> int:
    return session.first_needed
