"""Records drawn where the rules have their edges."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st
from naive_stream import NaiveStream, Record, Semantics

TOPIC = "events"
START = 10_000  # milliseconds; far from 0, so that "ancient" exists
SESSIONS = ("a", "b", "7")
ITEMS = ("i0", "i1", "i2", "unheard-of")
#: As JSON, an event of nobody: each must become a dead letter.
GARBAGE: tuple[bytes, ...] = (
    b"",
    b"{}",
    b"null",
    b"[]",
    b"{",
    b"\x00\x00\x00\x00\x01{}",
    b"\xff\xfe",
    b'{"session_id":"a","item_id":"i0"}',
    b'{"session_id":"","item_id":"i0","ts":10000}',
    b'{"session_id":"a","item_id":"i0","ts":-1}',
    b'{"session_id":"a","item_id":"i0","ts":10000.5}',
    b'{"session_id":"a","item_id":"i0","ts":99999999999999}',
    b'{"session_id":"a","item_id":"i0","ts":10000,"seq":-1}',
    b'{"session_id":"a","item_id":null,"ts":10000}',
    b'{"session_id":"\\ud800","item_id":"i0","ts":10000}',
    b'{"session_id":"a","item_id":"i0","ts":10000}}',
)

#: The rules under test: small numbers, so that every edge is a few milliseconds away.
SEMANTICS = (
    Semantics(),
    Semantics(lateness=0, skew=0),
    Semantics(lateness=40, horizon=15, max_length=4),  # an event can bridge a gap, twice over
    Semantics(bot_span=2),
    Semantics(bot_span=40, lateness=3, skew=None),  # a burst may be longer than a visit
    Semantics(max_length=1, lateness=20),
    Semantics("pairs", lateness=20),
    Semantics("pairs", max_length=2, idle=3),
)


@dataclass(frozen=True)
class Draft:
    """A record to be; its times are seen from what the partition and the session are at."""

    kind: str
    session: str = "a"
    item: str = "i0"
    of_session: bool = False  # ts is counted from the session's newest event, else stream time
    edge: int = 0
    type: str = "view"
    seq: int | None = None
    record_time: str = "event"
    garbage: bytes = b""
    pick: int = 0

    def record(self, stream: NaiveStream, partition: int, offset: int, log: list[Record]) -> Record:
        """The record itself, at the end of ``log``."""
        how = stream.how
        now = START if stream.stream_time is None else stream.stream_time
        key: bytes | None = self.session.encode()
        value: bytes | None
        if self.kind == "again" and log:  # sent twice: the same bytes at another offset
            return log[-1 - self.pick % min(len(log), 8)]._replace(offset=offset)
        if self.kind == "erasure":
            return Record(TOPIC, partition, offset, now, key, None)
        if self.kind == "nothing":
            return Record(TOPIC, partition, offset, now, None, None)
        if self.kind == "garbage":
            return Record(TOPIC, partition, offset, now, key, self.garbage)
        mine = stream.buffer(self.session)
        ts = mine[-1].ts if mine and self.of_session else now
        ts = max(0, ts + edges(how)[self.edge % len(edges(how))])
        event: dict[str, object] = {"session_id": self.session, "item_id": self.item, "ts": ts}
        if self.session.isdigit():
            event["session_id"] = int(self.session)
        if self.type != "view":
            event["type"] = self.type
        if self.seq is not None:
            event["seq"] = self.seq
        skew = how.skew or 0
        timestamp = {"event": ts, "skewed": ts - skew, "future": ts - skew - 1, "old": ts + 500}
        if self.kind == "2099":
            event["ts"] = ts + 10**9
        if self.kind == "keyless":
            key = None
        value = json.dumps(event).encode()
        return Record(TOPIC, partition, offset, max(0, timestamp[self.record_time]), key, value)


def edges(how: Semantics) -> list[int]:
    """Differences of time, in milliseconds, at and beside every boundary of the rules."""
    limits = (how.inactivity, how.horizon, how.lateness, how.inactivity + how.lateness, how.idle)
    near = {limit + d for limit in (0, *limits) for d in (-1, 0, 1)}
    near |= {-limit for limit in near} | {how.inactivity + 5, -how.inactivity + 5, -9_000}
    return sorted(near, key=abs)


#: Mostly clicks; else what a stream holds beside them.
_KINDS = (
    ["click"] * 18 + ["again"] * 2 + ["erasure"] * 3 + ["garbage", "2099", "keyless", "nothing"]
)


def drafts(clicks_only: bool = False) -> st.SearchStrategy[Draft]:
    """Drafts of records around the edges of the rules."""
    return st.builds(
        Draft,
        kind=st.just("click") if clicks_only else st.sampled_from(_KINDS),
        session=st.sampled_from(("a", "a", "a", *SESSIONS)),
        item=st.sampled_from(ITEMS),
        of_session=st.booleans(),
        edge=st.integers(0, 2) | st.integers(0, 40),
        type=st.sampled_from(["view", "view", "cart"]),
        seq=st.sampled_from([None, None, 0, 1, 2]),
        record_time=st.sampled_from(["event"] * 9 + ["skewed", "future", "old"]),
        garbage=st.sampled_from(GARBAGE) | st.binary(max_size=8),
        pick=st.integers(0, 7),
    )


def lay(
    drafted: list[Draft], how: Semantics, holes: bool = True
) -> tuple[list[Record], NaiveStream]:
    """The drafts as the records of one partition, and the naive stream that has judged them."""
    stream, log, offset = NaiveStream(how), [], 100
    for n, draft in enumerate(drafted):
        log.append(draft.record(stream, 0, offset, log))
        stream.take(log[-1])
        # Offsets have holes where a transaction ended.
        offset += 2 if holes and n % 5 == 4 else 1
    return log, stream
