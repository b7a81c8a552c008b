"""THE definition of a context: used by preparation, training, evaluation, replay and the daemon.

A session id has a *buffer*: its newest ``max_length`` distinct events, in the order ``(ts, seq)``.
The *context* is derived from the buffer alone: walk back from the newest event until a gap longer
than ``inactivity``, or an age above ``horizon`` measured from that newest event.

Two implementations of this one rule stand here, side by side, and property tests hold them equal:
:class:`SessionBuffer` takes events one by one in any order of arrival (live), the functions
:func:`first_arrivals` and :func:`context_starts` take sorted columns (offline).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from session_rec.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Named rules that make events into contexts; part of every bundle and every protocol.

    ``shop`` is the rule of this module. ``pairs``, for published benchmarks, takes sessions as
    given: position order, no gap, no horizon, no duplicate rule.

    Attributes:
        name: ``shop`` or ``pairs``.
        max_length: events that a context holds at most; the newest are kept.
        inactivity_ms: a longer gap between two events begins a new session under the same id.
        horizon_ms: events older than this, seen from the newest event, are out of the context.

    >>> SessionRules("pairs").to_dict(), SessionRules().inactivity_ms
    ({'name': 'pairs', 'max_length': 20}, 1800000)
    """

    name: Literal["shop", "pairs"] = "shop"
    max_length: int = 20
    inactivity_ms: int = 30 * 60 * 1000
    horizon_ms: int = 24 * 60 * 60 * 1000

    def __post_init__(self) -> None:
        if self.name not in ("shop", "pairs"):
            raise ConfigError(f"session rules {self.name!r}: use 'shop' or 'pairs'")
        if self.max_length < 1 or self.inactivity_ms < 1 or self.horizon_ms < 1:
            raise ConfigError("session rules: max_length, inactivity and horizon must be positive")

    @property
    def as_given(self) -> bool:
        """True where sessions are taken as given: no clock, no duplicates."""
        return self.name == "pairs"

    def to_dict(self) -> dict[str, str | int]:
        """The rules as they stand in manifests and protocols; ``pairs`` has no clock to name."""
        d: dict[str, str | int] = asdict(self)
        if self.as_given:
            del d["inactivity_ms"], d["horizon_ms"]
        return d

    @classmethod
    def from_dict(cls, d: dict[str, str | int]) -> SessionRules:
        """The rules that :meth:`to_dict` wrote."""
        return cls(**d)  # type: ignore[arg-type]

    @property
    def fingerprint(self) -> str:
        """16 hex digits that are equal for equal rules only."""
        return hashlib.sha256(msgspec.json.encode(self.to_dict(), order="sorted")).hexdigest()[:16]


class Entry(NamedTuple):
    """One event in a buffer, ordered by ``(ts, seq)``.

    Attributes:
        ts: event time, milliseconds; 0 under ``pairs``, where position alone orders.
        seq: order among events of the same ``ts``: the producer's, else the order of arrival.
        arrival: order of arrival; live, the offset.
        item: item id.
        type: event type.
        clock: event time as sent, milliseconds.
    """

    ts: int
    seq: int
    arrival: int
    item: str
    type: str
    clock: int


#: A producer whose clock stands still could fill the memory: past so many evicted events of one
#: millisecond, further ones of it are outside the buffer.
_MAX_GHOSTS = 1000


class Outcome(Enum):
    """What became of an event that was offered to a buffer."""

    NEWEST = "newest"  #: it is now the newest of its session
    OUT_OF_ORDER = "out_of_order"  #: it entered behind a newer one
    DUPLICATE = "duplicate"  #: same item, ts and type as one already taken
    OUTSIDE = "outside"  #: older than everything in a full buffer


class SessionBuffer:
    """The newest ``max_length`` distinct events of one session, for events in any order.

    After any sequence of :meth:`add` the entries are a pure function of the set of events added
    (each with its order of arrival), whatever the order they were added in by ``ts``.

    >>> buffer = SessionBuffer(SessionRules())
    >>> [buffer.add(*event).value for event in [("fig", 5, "view", 0), ("pear", 3, "view", 1)]]
    ['newest', 'out_of_order']
    >>> buffer.add("fig", 5, "view", 2), [entry.item for entry in buffer.context()]
    (<Outcome.DUPLICATE: 'duplicate'>, ['pear', 'fig'])
    """

    __slots__ = ("entries", "ghosts", "_rules")

    def __init__(self, rules: SessionRules) -> None:
        self._rules = rules
        #: The buffer, oldest first.
        self.entries: list[Entry] = []
        #: Evicted events of the same ts as the oldest that is left. A duplicate of such an event
        #: arrives later, so (ts, seq) alone would let it in where its original was pushed out.
        self.ghosts: list[Entry] = []

    def add(self, item: str, ts: int, type: str, arrival: int, seq: int | None = None) -> Outcome:
        """Takes one event and says what became of it.

        ``arrival`` must grow from call to call; ``seq`` defaults to it.
        """
        as_given = self._rules.as_given
        order = arrival if seq is None else seq
        entry = Entry(0 if as_given else ts, order, arrival, item, type, ts)
        entries = self.entries
        if not as_given and (
            self._holds_duplicate(entry) or any(_same(g, entry) for g in self.ghosts)
        ):
            return Outcome.DUPLICATE
        if len(self.ghosts) >= _MAX_GHOSTS and self.ghosts[0].ts == entry.ts:
            return Outcome.OUTSIDE
        newest = not entries or entry > entries[-1]
        if newest:
            entries.append(entry)
        else:
            entries.insert(bisect_left(entries, entry), entry)
        if len(entries) > self._rules.max_length:
            evicted = entries.pop(0)
            if not as_given:
                self._remember(evicted)
            if evicted is entry:
                return Outcome.OUTSIDE
        return Outcome.NEWEST if newest else Outcome.OUT_OF_ORDER

    def context(self) -> list[Entry]:
        """The context after the newest event, oldest entry first; empty for an empty buffer."""
        entries = self.entries
        if self._rules.as_given or not entries:
            return list(entries)
        inactivity = self._rules.inactivity_ms
        oldest_allowed = entries[-1].ts - self._rules.horizon_ms
        start = len(entries) - 1
        while (
            start > 0
            and entries[start].ts - entries[start - 1].ts <= inactivity
            and entries[start - 1].ts >= oldest_allowed
        ):
            start -= 1
        return entries[start:]

    @property
    def newest_ts(self) -> int:
        """Event time of the newest event, milliseconds."""
        return self.entries[-1].clock

    @property
    def first_needed(self) -> int:
        """The lowest order of arrival that must be read again to have this buffer again."""
        return min(e.arrival for e in (*self.entries, *self.ghosts))

    def _holds_duplicate(self, entry: Entry) -> bool:
        for other in reversed(self.entries):
            if other.ts < entry.ts:
                return False
            if _same(other, entry):
                return True
        return False

    def _remember(self, evicted: Entry) -> None:
        oldest = self.entries[0].ts
        if self.ghosts and self.ghosts[0].ts < oldest:
            self.ghosts.clear()
        if evicted.ts == oldest:
            self.ghosts.append(evicted)


def _same(a: Entry, b: Entry) -> bool:
    return a.ts == b.ts and a.item == b.item and a.type == b.type


def first_arrivals(
    session: NDArray[np.int64],
    ts: NDArray[np.int64],
    item: NDArray[np.int64],
    type: NDArray[np.int64],
    arrival: NDArray[np.int64],
    rules: SessionRules,
) -> NDArray[np.bool_]:
    """bool [T]: which events are not duplicates: the first to arrive of each
    ``(session, ts, item, type)``.

    Args are int64 [T] codes, in any order.

    >>> same, ts, arrival = np.zeros(3, np.int64), np.array([5, 5, 6]), np.array([1, 0, 2])
    >>> first_arrivals(same, ts, same, same, arrival, SessionRules())
    array([False,  True,  True])
    """
    keep = np.ones(len(ts), bool)
    if rules.as_given or len(ts) == 0:
        return keep
    order = np.lexsort((arrival, type, item, ts, session))
    keys = [c[order] for c in (session, ts, item, type)]
    same = np.logical_and.reduce([k[1:] == k[:-1] for k in keys])
    keep[order[1:][same]] = False
    return keep


def context_starts(
    session: NDArray[np.int64], ts: NDArray[np.int64], rules: SessionRules
) -> NDArray[np.int64]:
    """int64 [T]: for each event the index of the first event of the context that it ends.

    The context after event ``p`` is ``events[starts[p]:p + 1]``.

    Args:
        session: int64 [T] codes; events of one session lie together.
        ts: int64 [T] milliseconds; within a session in the order ``(ts, seq)``, no duplicates.
        rules: the session rules.

    >>> session, ts = np.array([0, 0, 0, 1]), np.array([0, 5, 99, 99])
    >>> context_starts(session, ts, SessionRules(inactivity_ms=10))
    array([0, 0, 2, 3])
    """
    t = len(ts)
    index = np.arange(t, dtype=np.int64)
    if t == 0:
        return index
    begins = session_begins(session, ts, rules)
    start = np.maximum.accumulate(np.where(begins, index, 0))
    if not rules.as_given:
        start = np.maximum(start, _within_horizon(ts, begins, rules.horizon_ms))
    return np.maximum(start, index - rules.max_length + 1)


def session_begins(
    session: NDArray[np.int64], ts: NDArray[np.int64], rules: SessionRules
) -> NDArray[np.bool_]:
    """bool [T]: the events that begin a session: the first of an id, or after too long a gap.

    Between two of them lies a maximal session (a visit): no context reaches beyond it, and every
    event in it but the last has a next one. Args are as in :func:`context_starts`.

    >>> session, ts = np.array([0, 0, 0, 1]), np.array([0, 5, 99, 99])
    >>> session_begins(session, ts, SessionRules(inactivity_ms=10))
    array([ True, False,  True,  True])
    """
    begins = np.ones(len(ts), bool)
    begins[1:] = session[1:] != session[:-1]
    if not rules.as_given:
        # A next event beyond the horizon has a context without the one before: another session.
        begins[1:] |= np.diff(ts) > min(rules.inactivity_ms, rules.horizon_ms)
    return begins


def scored_positions(
    session: NDArray[np.int64], ts: NDArray[np.int64], rules: SessionRules
) -> NDArray[np.int64]:
    """int64 [P]: the events whose context has a next event: ``p + 1`` continues the session.

    Args are as in :func:`context_starts`.

    >>> session, ts = np.array([0, 0, 0, 1]), np.array([0, 5, 99, 99])
    >>> scored_positions(session, ts, SessionRules(inactivity_ms=10))
    array([0])
    """
    return np.flatnonzero(~session_begins(session, ts, rules)[1:])


def _within_horizon(
    ts: NDArray[np.int64], begins: NDArray[np.bool_], horizon_ms: int
) -> NDArray[np.int64]:
    """int64 [T]: the first event of the same run no older than ``horizon_ms`` before each event.

    Runs are laid on one growing axis, further apart than the horizon, so that one binary search
    serves all of them.
    """
    run = np.cumsum(begins) - 1
    firsts = np.flatnonzero(begins)
    lasts = np.append(firsts[1:], len(ts)) - 1
    span = ts[lasts] - ts[firsts]
    # A horizon beyond every run cuts nothing; laid end to end it would overflow int64.
    horizon_ms = min(horizon_ms, int(span.max()))
    length = span + horizon_ms + 1
    base = np.concatenate(([0], np.cumsum(length)[:-1]))
    axis = base[run] + ts - ts[firsts][run]
    first: NDArray[np.int64] = np.searchsorted(axis, axis - horizon_ms, side="left")
    return first
