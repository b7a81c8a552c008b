"""A min-heap over objects whose keys only grow: stale keys are mended when they reach the top."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class LazyMinHeap(Generic[T]):
    """Finds the item of the lowest key in O(log n) per change of a key, without being told of it.

    An item's key must never fall. ``key_of`` returns None once the item is gone.
    """

    def __init__(self, key_of: Callable[[T], Any]) -> None:
        self.key_of = key_of
        self._heap: list[tuple[Any, int, T]] = []
        self._pushed = 0

    def push(self, item: T) -> None:
        """Takes an item that is not in the heap yet."""
        self._pushed += 1
        heapq.heappush(self._heap, (self.key_of(item), self._pushed, item))

    def lowest(self) -> T | None:
        """The item with the lowest key; of equal keys the one that got there first. None if empty.

        Every stale key mended here was changed since the last call, which is what pays for it.
        """
        heap = self._heap
        while heap:
            key, pushed, item = heap[0]
            now = self.key_of(item)
            if now is None:
                heapq.heappop(heap)
            elif now != key:
                heapq.heapreplace(heap, (now, pushed, item))
            else:
                return item
        return None
