"""A min-heap over objects whose keys only grow: stale keys are mended when they reach the top."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar


class Mortal(Protocol):
    """What can be gone; once it is, it stays so."""

    alive: bool


T = TypeVar("T", bound=Mortal)

#: Dead items may be as many as those alive, and these.
_SLACK = 1024


class LazyMinHeap(Generic[T]):
    """Finds the item of the lowest key in O(log n) per change of a key, without being told of it.

    An item's key must never fall. Items that are gone are passed over, and thrown out before they
    are more than those alive and a thousand: one item that stays lowest for long, such as a slow
    session, would else keep all that came and went behind it.

    Args:
        key_of: the key of an item that is alive.
        items: items to begin with.
    """

    def __init__(self, key_of: Callable[[T], Any], items: Iterable[T] = ()) -> None:
        self.key_of = key_of
        self._heap = [(key_of(item), n, item) for n, item in enumerate(items)]
        heapq.heapify(self._heap)
        self._pushed = len(self._heap)
        self._room = 2 * len(self._heap) + _SLACK

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, item: T) -> None:
        """Takes an item that is not in the heap yet."""
        self._pushed += 1
        if len(self._heap) >= self._room:
            self._heap = [entry for entry in self._heap if entry[2].alive]
            heapq.heapify(self._heap)
            self._room = 2 * len(self._heap) + _SLACK
        heapq.heappush(self._heap, (self.key_of(item), self._pushed, item))

    def lowest(self) -> T | None:
        """The item with the lowest key; of equal keys the one that got there first. None if empty.

        Every stale key mended here was changed since the last call, which is what pays for it.
        """
        heap = self._heap
        while heap:
            key, pushed, item = heap[0]
            if not item.alive:
                heapq.heappop(heap)
                continue
            now = self.key_of(item)
            if now == key:
                return item
            heapq.heapreplace(heap, (now, pushed, item))
        return None
