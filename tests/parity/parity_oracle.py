"""What must become of each record of the events topic, worked out record by record in the plainest
way: no forgetting, no ghosts, no rebuilding."""

from __future__ import annotations

import json
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from parity_rows import MAX_LENGTH, Click, newest_context
from parity_shop import LATENESS_MS

Key = tuple[str, str, int, str]  # session, item, ts, type: what makes two events the same
Place = tuple[int, int]  # partition, offset


@dataclass(frozen=True)
class Expected:
    """What one record must lead to.

    Attributes:
        key: the event.
        fate: ``emitted``, ``late``, ``duplicates`` or ``outside``, as the metrics call them.
        in_order: it was the newest of its session.
        context: after it; empty where nothing is emitted.
    """

    key: Key
    fate: str
    in_order: bool
    context: list[Click]


def expected_of(records: Iterable[Any]) -> dict[Place, Expected]:
    """For every record (of any partitions, each in offset order) what must become of it."""
    stream_time: dict[int, int] = defaultdict(int)
    taken: dict[str, list[Click]] = defaultdict(list)
    out = {}
    for record in records:
        event = json.loads(record.value)
        session, item, ts, kind = (event[n] for n in ("session_id", "item_id", "ts", "type"))
        clicks = taken[session]
        click = Click(ts, record.offset, item, kind)
        full = len(clicks) >= MAX_LENGTH
        fate, in_order = "emitted", False
        if ts < stream_time[record.partition] - LATENESS_MS:
            fate = "late"
        elif full and ts < clicks[-MAX_LENGTH].ts:
            fate = "outside"
        elif any((c.ts, c.item, c.type) == (ts, item, kind) for c in clicks):
            fate = "duplicates"
        else:
            in_order = not clicks or click > clicks[-1]
            insort(clicks, click)
        stream_time[record.partition] = max(stream_time[record.partition], ts)
        out[record.partition, record.offset] = Expected(
            (session, item, ts, kind),
            fate,
            in_order,
            newest_context(clicks) if fate == "emitted" else [],
        )
    return out


def accounts(
    expected: Mapping[Place, Expected], begins: Mapping[int, int], ends: Mapping[int, int]
) -> dict[str, int]:
    """The terms of the daemon's identity for the records from ``begins`` up to ``ends``, by
    partition; those that never happen here are 0."""
    fates = Counter(e.fate for (p, offset), e in expected.items() if begins[p] <= offset < ends[p])
    never = ("conflated", "over_cap", "dead_lettered", "tombstones")
    return {term: fates[term] for term in ("emitted", "late", "duplicates", "outside", *never)}
