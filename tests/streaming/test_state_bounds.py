"""Memory has a bound, whoever floods it: measured as the size of a process, not as we count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from session_rec.events import EventError, decode_event
from streaming.lazy_heap import LazyMinHeap

#: What a process may grow by, as a multiple of ``max_state_mb``, and MiB beside it: for the
#: interpreter's own, and for the offsets at which stream time is remembered.
FACTOR, BESIDE_MB = 1.0, 4.0


def flood(sessions: int, cap_mb: float, kind: str) -> dict[str, Any]:
    found = subprocess.run(
        [sys.executable, Path(__file__).with_name("flood.py"), str(sessions), str(cap_mb), kind],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    print(found.stdout)
    return dict(json.loads(found.stdout))


@pytest.mark.parametrize("kind", ["new", "long", "slow"])
def test_a_flood_of_new_sessions_keeps_under_the_cap(kind: str) -> None:
    took = flood(20_000, 8, kind)
    assert took["resident_mb"] <= FACTOR * 8 + BESIDE_MB
    assert 0.99 * 8 <= took["counted_mb"] <= 8
    assert took["evicted_bytes"] + took["live"] == 20_000 - 9 * (kind == "slow")
    assert took["forgotten"] == took["evicted_sessions"] == 0
    assert took["slow_items"] == (10 if kind == "slow" else 0)


def test_a_bot_is_bounded_and_counted() -> None:
    """All its events are of one millisecond: 20 fill a context, 1000 more are held to tell twins
    by, and no more."""
    took = flood(1_500, 8, "bot")
    assert took["over_cap"] == 1000 + 1
    assert 0 < took["counted_mb"] < 1 and took["live"] == 1


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["new", "slow"])
def test_ten_million_new_sessions_keep_under_the_cap(kind: str) -> None:
    took = flood(10_000_000, 64, kind)
    assert took["resident_mb"] <= FACTOR * 64 + BESIDE_MB
    assert took["evicted_bytes"] + took["live"] > 9_900_000


class Item:
    def __init__(self, key: int) -> None:
        self.key, self.alive = key, True


def test_one_that_stays_lowest_does_not_keep_all_that_came_and_went_behind_it() -> None:
    """Found: a slow session kept every session that ended after it began, with all its events."""
    heap: LazyMinHeap[Item] = LazyMinHeap(lambda item: item.key, [slow := Item(0)])
    for key in range(1, 20_000):
        item = Item(key)
        heap.push(item)
        item.alive = False
        assert heap.lowest() is slow
    assert len(heap) < 3000
    slow.alive = False
    heap.push(last := Item(20_000))
    assert heap.lowest() is last


@pytest.mark.parametrize(
    ("field", "value"),
    [("session_id", "x" * 257), ("item_id", "x" * 257), ("type", "x" * 65), ("item_id", 2**63)],
)
def test_what_a_session_holds_has_a_greatest_length(field: str, value: object) -> None:
    event: dict[str, object] = {"session_id": "a", "item_id": "i", "ts": 1}
    with pytest.raises(EventError):
        decode_event(json.dumps(event | {field: value}).encode())
    longest = value[:-1] if isinstance(value, str) else 2**63 - 1
    decode_event(json.dumps(event | {field: longest}).encode())
