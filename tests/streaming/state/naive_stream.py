"""What the daemon must do, said once more and naively: from the raw records of one partition.

Nothing is ever forgotten here to save memory, nothing is kept sorted, nothing is rebuilt, and no
code of the product is used: each record is judged by a look through all that was accepted before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple


class Record(NamedTuple):
    """A record of the events topic, with the attributes that the client gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Semantics:
    """The settings that decide what becomes of a record; all times in milliseconds."""

    name: str = "shop"
    max_length: int = 3
    inactivity: int = 10
    horizon: int = 25
    lateness: int = 12
    skew: int | None = 5
    idle: int = 30
    bot_span: int = 0

    @property
    def pairs(self) -> bool:
        return self.name == "pairs"


class Click(NamedTuple):
    """An accepted event; ``order`` stands first, so that clicks sort as their session does."""

    order: tuple[int, int, int]
    session: str
    item: str
    ts: int
    type: str


class Verdict(NamedTuple):
    """What must become of a record; ``context`` and the rest only where it is ``emitted``."""

    fate: str
    session: str = ""
    ts: int = 0
    context: tuple[Click, ...] = ()
    in_order: bool = True


class NaiveStream:
    """One partition. ``verdicts`` holds what must become of each offset; ``live`` the contexts
    that a daemon must hold after it, and ``time`` stream time."""

    def __init__(self, how: Semantics) -> None:
        self.how = how
        self.accepted: list[Click] = []
        self.last_seen: dict[str, int] = {}
        self.stream_time: int | None = None
        self.verdicts: dict[int, Verdict] = {}
        self.live: dict[int, dict[str, tuple[Click, ...]]] = {}
        self.time: dict[int, int | None] = {}

    def take(self, record: Record) -> Verdict:
        verdict = self._judge(record)
        self.verdicts[record.offset] = verdict
        self.time[record.offset] = self.stream_time
        self.live[record.offset] = {s: self.context(s) for s in self.last_seen if self.extends(s)}
        return verdict

    def _judge(self, record: Record) -> Verdict:
        how = self.how
        if record.value is None and record.key is not None:
            self._erase(record.key.decode(errors="surrogateescape"))
            return Verdict("tombstones")
        event = None if record.key is None else parse(record.value)
        if event is None:
            return Verdict("dead_lettered")
        session, item, ts, kind, seq = event
        if how.skew is not None and ts > record.timestamp + how.skew:
            return Verdict("dead_lettered")
        if self.stream_time is not None and ts < self.stream_time - how.lateness:
            return Verdict("late")
        self.stream_time = ts if self.stream_time is None else max(self.stream_time, ts)
        if how.pairs:  # no clock bounds its contexts: the rule about memory is part of them
            for other in [s for s in self.last_seen if not self.extends(s)]:
                self._erase(other)
        before = self.buffer(session)
        self.last_seen[session] = self.stream_time
        if not how.pairs:
            if len(before) == how.max_length and ts < before[0].ts:
                return Verdict("outside")
            mine = [c for c in self.accepted if c.session == session]
            if any((c.item, c.ts, c.type) == (item, ts, kind) for c in mine):
                return Verdict("duplicates")
        seq = record.offset if seq is None else seq
        order = (0 if how.pairs else ts, seq, record.offset)
        click = Click(order, session, item, ts, kind)
        self.accepted.append(click)
        buffer = self.buffer(session)
        if click not in buffer:
            return Verdict("outside")
        context = self.context(session)
        span = context[-1].ts - context[0].ts
        if how.bot_span and len(context) == how.max_length and span <= how.bot_span:
            return Verdict("over_cap")
        return Verdict("emitted", session, ts, context, buffer[-1] == click)

    def buffer(self, session: str) -> list[Click]:
        """The newest ``max_length`` distinct events of a session."""
        return sorted(c for c in self.accepted if c.session == session)[-self.how.max_length :]

    def context(self, session: str) -> tuple[Click, ...]:
        """The buffer, walked back from its newest event to a gap or to the horizon."""
        buffer = self.buffer(session)
        if self.how.pairs:
            return tuple(buffer)
        context: list[Click] = []
        for click in reversed(buffer):
            if context and context[0].ts - click.ts > self.how.inactivity:
                break
            if buffer[-1].ts - click.ts > self.how.horizon:
                break
            context.insert(0, click)
        return tuple(context)

    def extends(self, session: str) -> bool:
        """Whether an event that is not late could still change the session's context."""
        if self.stream_time is None:
            return False
        if self.how.pairs:
            return self.stream_time - self.last_seen[session] <= self.how.idle
        mine = self.buffer(session)
        reach = self.how.inactivity + self.how.lateness
        return bool(mine) and self.stream_time - mine[-1].ts <= reach

    def _erase(self, session: str) -> None:
        self.accepted = [c for c in self.accepted if c.session != session]
        self.last_seen.pop(session, None)


def parse(value: bytes | None) -> tuple[str, str, int, str, int | None] | None:
    """Session, item, ts, type and seq of an event's JSON; None if the bytes are not an event."""
    try:
        m = json.loads((value or b"").decode())
        session, item, ts = m["session_id"], m["item_id"], m["ts"]
        kind, seq = m.get("type", "view"), m.get("seq")
        json.dumps(m, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    for name in (session, item):
        if type(name) is not int and not (type(name) is str and 0 < len(name) <= 256):
            return None
    if type(ts) is not int or not 0 <= ts <= 10_000_000_000_000:
        return None
    if not (type(kind) is str and kind) or not (seq is None or (type(seq) is int and seq >= 0)):
        return None
    return str(session), str(item), ts, kind, seq
