"""The events topic by offset, small in memory: which item, when; and who wants to be forgotten."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

from session_rec.events import EventError, decode_event

_NONE = -1  #: no event at this offset


class _Partition(NamedTuple):
    first: int
    items: array[int]
    ts: array[int]


class EventColumns:
    """Item and time of every event, by partition and offset.

    Args:
        max_future_skew_ms: events further ahead of their record's time are none, as in the daemon;
            None is no check.

    Attributes:
        erased: session ids for which a tombstone came.
    """

    def __init__(self, max_future_skew_ms: int | None = None) -> None:
        self._skew = max_future_skew_ms
        self._partitions: dict[str, _Partition] = {}
        self._codes: dict[str, int] = {}
        self._items: list[str] = []
        self.erased: set[str] = set()

    def add(self, record: Any) -> None:
        """Takes a record; those of a partition in offset order."""
        if record.value is None:
            if record.key is not None:
                self.erased.add(record.key.decode("utf-8", "surrogateescape"))
            return
        try:
            event = decode_event(record.value)
        except EventError:
            return
        if self._skew is not None and event.ts > record.timestamp + self._skew:
            return
        source = f"{record.topic}-{record.partition}"
        mine = self._partitions.get(source)
        if mine is None:
            mine = self._partitions[source] = _Partition(record.offset, array("i"), array("q"))
        missing = record.offset - mine.first - len(mine.items)
        mine.items.extend([_NONE] * missing)
        mine.ts.extend([_NONE] * missing)
        code = self._codes.setdefault(event.item_id, len(self._items))
        if code == len(self._items):
            self._items.append(event.item_id)
        mine.items.append(code)
        mine.ts.append(event.ts)

    def item(self, source: str, offset: int) -> str | None:
        """The item at an offset of ``topic-partition``; None where the topic has no event there."""
        mine = self._partitions.get(source)
        place = offset - mine.first if mine is not None else _NONE
        if mine is None or not 0 <= place < len(mine.items) or mine.items[place] == _NONE:
            return None
        return self._items[mine.items[place]]

    def newer(self, source: str, offset: int, ts: int) -> bool:
        """Whether an event behind ``offset`` has a time above ``ts``."""
        mine = self._partitions.get(source)
        if mine is None:
            return False
        return max(mine.ts[max(offset + 1 - mine.first, 0) :], default=ts) > ts
