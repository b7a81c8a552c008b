"""Weights of ordered pairs of items, looked up for an item of each context and its candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.base import Arrays
from session_rec.predictors.candidate_rows import CandidateRows
from session_rec.ragged import Ragged


@dataclass(frozen=True)
class ItemPairs:
    """A sparse matrix [N, N] by rows.

    Attributes:
        offsets: int64 [N + 1]; the pairs of item a are ``offsets[a]:offsets[a + 1]``.
        other: int32 [P], b of each pair, ascending within an item.
        weight: float32 [P].

    >>> pairs = ItemPairs.of(np.array([0, 0, 0]), np.array([2, 1, 2]), np.ones(3), n_items=3)
    >>> pairs(np.array([[0]]), CandidateRows.union([np.array([[0, 1, 2]])], 3)).tolist()
    [[0.0], [1.0], [2.0]]
    """

    offsets: NDArray[np.int64]
    other: NDArray[np.int32]
    weight: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        item: NDArray[np.integer],  # type: ignore[type-arg]
        other: NDArray[np.integer],  # type: ignore[type-arg]
        weight: NDArray[np.float64],
        n_items: int,
        per_item: int = 200,
    ) -> Self:
        """The sums of the weights of equal pairs, of each item the ``per_item`` largest."""
        pairs, place = np.unique(item.astype(np.int64) * n_items + other, return_inverse=True)
        total = np.bincount(place, weight, minlength=len(pairs))
        item, other = pairs // n_items, pairs % n_items
        order = np.lexsort((other, -total, item))
        first = np.searchsorted(item, np.arange(n_items + 1))
        kept = np.sort(order[np.arange(len(order)) - first[item] < per_item])
        return cls(
            np.searchsorted(item[kept], np.arange(n_items + 1)).astype(np.int64),
            other[kept].astype(np.int32),
            total[kept].astype(np.float32),
        )

    def __call__(
        self,
        items: NDArray[np.integer],  # type: ignore[type-arg]
        found: CandidateRows,
    ) -> NDArray[np.float64]:
        """float64 [C, M]: the weights of M items of each context, int [B, M], with each of its
        candidates; 0 where there is none, or the item is -1."""
        n_contexts, m = items.shape
        item = items.ravel()
        start = np.where(item >= 0, self.offsets[item], 0)
        count = np.where(item >= 0, self.offsets[item + 1], 0) - start
        asked = np.repeat(np.arange(n_contexts * m), count)
        pairs = np.arange(len(asked)) + np.repeat(start - np.cumsum(count) + count, count)
        at = found.places(asked // m, self.other[pairs])
        kept = at >= 0
        weights = np.zeros((len(found), m))
        weights[at[kept], asked[kept] % m] = self.weight[pairs[kept]]
        return weights

    def arrays(self) -> Arrays:
        """The arrays by name."""
        return dict(vars(self))


def pairs_apart(sessions: Ragged, distance: int) -> NDArray[np.int64]:
    """Positions i of clicks that have another click of their session ``distance`` later, int64.

    >>> pairs_apart(Ragged.from_lists([[7, 8, 9], [7, 8]]), 1).tolist()
    [0, 1, 3]
    """
    session = np.repeat(np.arange(len(sessions)), sessions.lengths)
    return np.flatnonzero(session[:-distance] == session[distance:])
