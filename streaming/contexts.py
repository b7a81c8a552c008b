"""The live sessions of one partition: what they hold, when they are forgotten, how to have them
again.

Everything here is a function of the partition's records in offset order, never of the clock on the
wall, so that reading a range again gives the state that was.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

from session_rec.events import Event
from session_rec.sessions import Entry, Outcome, SessionBuffer, SessionRules
from streaming.lazy_heap import LazyMinHeap


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


@dataclass(frozen=True)
class ContextSettings:
    """What, besides the records, decides the state of a partition.

    Attributes:
        rules: the session rules.
        allowed_lateness_ms: how far behind stream time an event may be.
        pairs_idle_ms: under ``pairs`` rules, which have no clock, a session is forgotten once
            stream time has moved on by more than this since its last event.
        bot_span_ms: a context of ``max_length`` events that spans no more than this gets no
            prediction; 0 is off.
        max_sessions: live sessions per partition. Above it the session with the oldest newest
            event is given up. This alone does not survive a rebuild: parity is claimed while it
            is not reached, and each giving up is counted.
        checkpoint_every: offsets between two remembered values of stream time.
    """

    rules: SessionRules
    allowed_lateness_ms: int
    pairs_idle_ms: int = 7 * 24 * 3600 * 1000
    bot_span_ms: int = 0
    max_sessions: int = 500_000
    checkpoint_every: int = 256

    @property
    def forget_after_ms(self) -> int:
        """Milliseconds of stream time after which a session cannot be extended any more."""
        if self.rules.as_given:
            return self.pairs_idle_ms
        return self.rules.inactivity_ms + self.allowed_lateness_ms

    @property
    def reach_ms(self) -> int:
        """The longest age of an event that a live context may hold, seen from stream time."""
        horizon = 0 if self.rules.as_given else self.rules.horizon_ms
        return self.forget_after_ms + horizon


class _LiveSession:
    __slots__ = ("session_id", "buffer", "last_offset", "last_seen", "alive")

    def __init__(self, session_id: str, rules: SessionRules) -> None:
        self.session_id = session_id
        self.buffer = SessionBuffer(rules)
        self.last_offset = -1
        self.last_seen = 0  # stream time after its last event
        self.alive = True


class PartitionContexts:
    """Live sessions of one partition.

    Records are handed over in offset order, each once: :meth:`add` for an event, :meth:`erase` for
    a tombstone, :meth:`skip` for anything else.

    Attributes:
        next_offset: the offset after the last record handed over.
        stream_time: newest accepted ``ts``, milliseconds; None before the first.
        forgotten: sessions forgotten by stream time.
        evicted: sessions given up because there were more than ``max_sessions``.
    """

    def __init__(
        self, settings: ContextSettings, start_offset: int, stream_time: int | None = None
    ) -> None:
        self._settings = settings
        self._sessions: dict[str, _LiveSession] = {}
        self._by_age: LazyMinHeap[_LiveSession] = LazyMinHeap(
            _last_seen if settings.rules.as_given else _newest
        )
        self._by_need: LazyMinHeap[_LiveSession] = LazyMinHeap(_first_needed)
        self._checkpoints = deque([(start_offset, stream_time)])
        self.next_offset = start_offset
        self.stream_time = stream_time
        self.forgotten = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._sessions)

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
            session = _LiveSession(event.session_id, settings.rules)
        buffer = session.buffer
        outcome = buffer.add(event.item_id, ts, event.type, offset, event.seq)
        session.last_offset = offset
        session.last_seen = now
        if fresh:
            self._sessions[event.session_id] = session
            self._by_age.push(session)
            self._by_need.push(session)
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
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.alive = False
        return session is not None

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
        if first is None:
            checkpoints.clear()
            checkpoints.append((self.next_offset, self.stream_time))
            return checkpoints[0]
        needed = first.buffer.first_needed
        while len(checkpoints) > 1 and checkpoints[1][0] <= needed:
            checkpoints.popleft()
        return checkpoints[0]

    def snapshot(self) -> dict[str, list[Entry]]:
        """The buffer of every live session."""
        return {k: list(s.buffer.entries) for k, s in self._sessions.items()}

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
        self.evicted += 1

    def _drop(self, session: _LiveSession) -> None:
        session.alive = False
        del self._sessions[session.session_id]


def _newest(session: _LiveSession) -> tuple[int, int] | None:
    return (session.buffer.newest_ts, session.last_offset) if session.alive else None


def _last_seen(session: _LiveSession) -> tuple[int, int] | None:
    return (session.last_seen, session.last_offset) if session.alive else None


def _first_needed(session: _LiveSession) -> int | None:
    return session.buffer.first_needed if session.alive else None
