"""The newest slate of each live session: what ``GET /sessions/{id}/recommendations`` gives, and
what the session's next click is compared with."""

from __future__ import annotations

import threading
from collections import OrderedDict

import msgspec


class _Items(msgspec.Struct):
    items: list[str]


_decoder = msgspec.json.Decoder(_Items)


class _Partition:
    """``slates``: session id -> (number of the update, stream time, message), oldest first."""

    __slots__ = ("newest_ts", "slates")

    def __init__(self) -> None:
        self.slates: OrderedDict[str, tuple[int, int, bytes]] = OrderedDict()
        self.newest_ts = 0


class RecentSlates:
    """Keeps prediction messages as they were sent, at most ``capacity`` of them.

    Written by the daemon's thread, read by those of the HTTP server.

    Args:
        capacity: slates kept in all; above it the least recently updated go first.
        keep_ms: a slate goes once the partition's event time has moved on by more than this since:
            its session is forgotten then.

    Attributes:
        asked: clicks whose session had a slate here, made before the click.
        hits: those of ``asked`` whose item stood in that slate.

    >>> slates = RecentSlates(capacity=2, keep_ms=60_000)
    >>> slates.put("events-0", "ann", 1_000, b'{"items": ["mat", "lamp"]}')
    >>> slates.put("events-0", "ann", 2_000, b'{"items": ["rope"]}', clicked="lamp")
    True
    >>> slates.find("ann"), slates.asked, slates.hits
    (b'{"items": ["rope"]}', 1, 1)
    """

    def __init__(self, capacity: int, keep_ms: int) -> None:
        self._capacity = capacity
        self._keep_ms = keep_ms
        self._partitions: dict[str, _Partition] = {}
        self._count = 0
        self._updates = 0
        self._lock = threading.Lock()
        self.asked = 0
        self.hits = 0

    def __len__(self) -> int:
        return self._count

    def put(
        self, partition: str, session_id: str, ts: int, message: bytes, clicked: str | None = None
    ) -> bool | None:
        """Keeps the slate after an event, in place of the session's last one.

        Returns:
            Whether ``clicked`` stood in the last one; None where there is nothing to compare.

        Args:
            partition: the event's partition, ``topic-number``.
            ts: the event's time, milliseconds.
            message: the prediction message.
            clicked: the event's item, to be counted against the last slate; None where the event
                began its session or came out of order: no slate was made for it.
        """
        if not self._capacity:
            return None
        with self._lock:
            mine = self._partitions.setdefault(partition, _Partition())
            slates = mine.slates
            before = slates.pop(session_id, None)
            self._updates += 1
            mine.newest_ts = max(mine.newest_ts, ts)
            slates[session_id] = (self._updates, mine.newest_ts, message)
            self._count += before is None
            while next(iter(slates.values()))[1] < mine.newest_ts - self._keep_ms:
                slates.popitem(last=False)
                self._count -= 1
            if self._count > self._capacity:
                self._evict()
        if before is None or clicked is None:
            return None
        hit = clicked in _decoder.decode(before[2]).items
        self.asked += 1
        self.hits += hit
        return hit

    def find(self, session_id: str) -> bytes | None:
        """The newest message of a session."""
        with self._lock:
            for partition in self._partitions.values():
                kept = partition.slates.get(session_id)
                if kept is not None:
                    return kept[2]
        return None

    def erase(self, session_id: str) -> None:
        """Forgets a session at its owner's wish, whichever partition its events came by."""
        with self._lock:
            for partition in self._partitions.values():
                if partition.slates.pop(session_id, None) is not None:
                    self._count -= 1

    def drop(self, partition: str) -> None:
        """Forgets a partition that is ours no more: its sessions' slates are made elsewhere."""
        with self._lock:
            gone = self._partitions.pop(partition, None)
            if gone is not None:
                self._count -= len(gone.slates)

    def _evict(self) -> None:
        filled = (p.slates for p in self._partitions.values() if p.slates)
        least_recent = min(filled, key=lambda slates: next(iter(slates.values()))[0])
        least_recent.popitem(last=False)
        self._count -= 1
