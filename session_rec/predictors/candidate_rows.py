"""Which items are candidates of which context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CandidateRows:
    """The candidates of B contexts, those of one after those of the other.

    Attributes:
        rows: int64 [C], catalog rows, ascending within a context.
        context: int64 [C], whose candidate each is, ascending.
        offsets: int64 [B + 1]; context b has the candidates ``offsets[b]:offsets[b + 1]``.
        n_items: N, the items of the catalog.

    >>> found = CandidateRows.union([np.array([[2, 0], [1, 2]]), np.array([[2, 1], [2, 1]])], 3)
    >>> found.rows, found.offsets
    (array([0, 1, 2, 1, 2]), array([0, 3, 5]))
    """

    rows: NDArray[np.int64]
    context: NDArray[np.int64]
    offsets: NDArray[np.int64]
    n_items: int

    @classmethod
    def union(cls, best: Sequence[NDArray[np.integer]], n_items: int) -> Self:  # type: ignore[type-arg]
        """The items that any of several models puts up: of each its rows, [B, depth]."""
        first = np.arange(len(best[0]))[:, None] * n_items
        keys = np.unique(np.concatenate([first + rows for rows in best], axis=1))
        context = keys // n_items
        offsets = np.searchsorted(context, np.arange(len(first) + 1))
        return cls(keys - context * n_items, context, offsets, n_items)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """int64 [C], ascending: one number for context and row."""
        return self.context * self.n_items + self.rows

    def of(self, b: int) -> slice:
        """Where the candidates of context ``b`` stand."""
        return slice(int(self.offsets[b]), int(self.offsets[b + 1]))

    def places(
        self,
        context: NDArray[np.int64],
        rows: NDArray[np.integer],  # type: ignore[type-arg]
    ) -> NDArray[np.int64]:
        """int64 [M]: where the item ``rows[m]`` stands among the candidates of ``context[m]``; -1
        where it is none.

        >>> CandidateRows.union([np.array([[2, 0]])], 3).places(np.array([0, 0]), np.array([2, 1]))
        array([ 1, -1])
        """
        keys = context * self.n_items + rows
        at = np.searchsorted(self.keys, keys)
        found = at < len(self)
        found[found] = self.keys[at[found]] == keys[found]
        return np.where(found, at, -1)
