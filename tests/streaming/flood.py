"""A flood of new sessions into one partition, in a process of its own: prints what it took.

Usage: flood.py SESSIONS MAX_STATE_MB KIND, where KIND is ``new`` (each event is a session's first),
``long`` (ids and items of the greatest length), ``slow`` (one session older than all others stays)
or ``bot`` (a session without end, of one millisecond).
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from session_rec.events import Event, decode_event, encode_event
from session_rec.sessions import SessionRules
from streaming.context_settings import MIB
from streaming.contexts import ContextSettings, PartitionContexts

START = 1_700_000_000_000


def events(count: int, kind: str) -> Iterator[bytes]:
    for n in range(count):
        session, item, ts = f"session-{n:012d}", f"item-{n % 50_000:07d}", START + n // 10
        if kind == "long":
            session, item = session.ljust(256, "🦊"), item.ljust(256, "🦊")
        elif kind == "slow" and n % 2000 == 0:
            session = "slow"
        elif kind == "bot":
            session, ts = "bot", START
        yield encode_event(Event(session, item, ts))


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main(count: int, max_mb: float, kind: str) -> None:
    settings = ContextSettings(
        SessionRules(), 120_000, bot_span_ms=5000, max_bytes=round(max_mb * MIB)
    )
    contexts = PartitionContexts(settings, 0)
    before = most = resident()
    over_cap = 0
    for offset, data in enumerate(events(count, kind)):
        fate = contexts.add(decode_event(data), offset)
        over_cap += fate.value == "over_cap"
        if offset % 500 == 499:  # a poll, and its commit
            contexts.rebuild_from()
            if offset % 5000 == 4999:
                most = max(most, resident())
    print(
        json.dumps(
            {
                "resident_mb": (most - before) / MIB,
                "counted_mb": contexts.bytes / MIB,
                "live": len(contexts),
                "forgotten": contexts.forgotten,
                "evicted_sessions": contexts.evicted_sessions,
                "evicted_bytes": contexts.evicted_bytes,
                "over_cap": over_cap,
                "slow_items": len(contexts.context("slow")),
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
