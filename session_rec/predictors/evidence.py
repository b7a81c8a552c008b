"""Models that know something about few items of a context: those first, then the popular ones.

Thousands of items with the same score would be thousands of ties, and a pessimistic rank counts
them all. So items without evidence are ordered by popularity, below every item with evidence.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.base import Predictor
from session_rec.ragged import Ragged
from session_rec.retrieval import NonFiniteScoreError

_SMALLEST = np.finfo(np.float32).tiny


def popularity_tail(count: NDArray[Any]) -> NDArray[np.float32]:
    """float32 [N] in (-1, 0): distinct, by count descending, then row ascending.

    >>> popularity_tail(np.array([2, 9, 2]))
    array([-0.5 , -0.25, -0.75], dtype=float32)
    """
    n = len(count)
    tail = np.empty(n, np.float32)
    tail[np.argsort(-count, kind="stable")] = -np.arange(1, n + 1) / (n + 1)
    return tail


class EvidencePredictor(Predictor):
    """Scores items with evidence above 0 and all others in (-1, 0) by popularity.

    Args:
        count: [N], training events of each item.

    >>> class LastItemAgain(EvidencePredictor):
    ...     config = arrays = restore = None  # what saving needs
    ...     def evidence(self, context):
    ...         return context[-1:], np.ones(1)
    >>> LastItemAgain(np.array([2, 9, 2])).score(Ragged.from_lists([[1, 2]]))
    array([[-0.5 , -0.25,  1.  ]], dtype=float32)
    """

    def __init__(self, count: NDArray[Any]) -> None:
        self.n_items = len(count)
        self._tail = popularity_tail(count)
        self._by_popularity = np.argsort(-count, kind="stable").astype(np.int32)

    @abstractmethod
    def evidence(
        self, context: NDArray[np.int32]
    ) -> tuple[NDArray[np.integer[Any]], NDArray[np.float64]]:
        """Distinct rows in ascending order, [M], and their scores, float64 [M], not negative."""

    def score(self, contexts: Ragged) -> NDArray[np.float32]:
        scores = np.tile(self._tail, (len(contexts), 1))
        for b in range(len(contexts)):
            rows, values = self._evidence(contexts.sequence(b))
            scores[b, rows] = values
        return scores

    def top_k(
        self, contexts: Ragged, k: int, blocked: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        slates = np.full((len(contexts), k), -1, np.int32)
        best = np.full((len(contexts), k), -np.inf, np.float32)
        for b in range(len(contexts)):
            mask = blocked if blocked is None or blocked.ndim == 1 else blocked[b]
            found, values = self._evidence(contexts.sequence(b))
            rows = found
            if mask is not None:
                rows, values = rows[~mask[rows]], values[~mask[rows]]
            order = np.argsort(-values, kind="stable")[:k]
            m = len(order)
            slates[b, :m], best[b, :m] = rows[order], values[order]
            if m < k:
                popular = self._most_popular(k - m, found, mask)
                slates[b, m : m + len(popular)] = popular
                best[b, m : m + len(popular)] = self._tail[popular]
        return slates, best

    def _evidence(
        self, context: NDArray[np.int32]
    ) -> tuple[NDArray[np.integer[Any]], NDArray[np.float32]]:
        if len(context) == 0:
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        rows, values = self.evidence(context)
        scores = np.maximum(values.astype(np.float32), _SMALLEST)
        if not np.isfinite(scores).all():
            raise NonFiniteScoreError
        return rows, scores

    def _most_popular(
        self, m: int, without: NDArray[np.integer[Any]], blocked: NDArray[np.bool_] | None
    ) -> NDArray[np.int32]:
        """The ``m`` most popular rows that are neither in ``without`` nor blocked."""
        reach = m + len(without)
        while True:
            rows = self._by_popularity[:reach]
            rows = rows[~np.isin(rows, without)]
            if blocked is not None:
                rows = rows[~blocked[rows]]
            if len(rows) >= m or reach >= self.n_items:
                return rows[:m]
            reach *= 4
