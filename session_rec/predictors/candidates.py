"""What a re-ranker sees: the parts' best items together, and what is known of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.context_features import CONTEXT_FEATURES, context_features
from session_rec.predictors.fact_features import FACT_FEATURES, ItemVectors, fact_features
from session_rec.predictors.item_facts import ItemFacts

#: Probabilities below e to this are alike to the re-ranker.
_LOG_FLOOR = -12.0

#: Of each part: log probability, 1 / rank, log rank, distance to its best score.
PART_FEATURES = ("log_probability", "reciprocal_rank", "log_rank", "behind_best")


def feature_names(parts: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns of :func:`candidates`, for parts of these names.

    >>> feature_names(["knn"])[:2]
    ('knn.log_probability', 'knn.reciprocal_rank')
    >>> len(feature_names(["knn", "transformer"]))
    37
    """
    of_parts = (f"{part}.{name}" for part in parts for name in PART_FEATURES)
    return (*of_parts, *CONTEXT_FEATURES, *FACT_FEATURES)


class Candidates(NamedTuple):
    """The candidates of one context.

    Attributes:
        rows: int64 [C], catalog rows, ascending.
        features: float32 [C, F], columns as :func:`feature_names`.

    >>> Candidates(np.array([3, 7]), np.zeros((2, 33), np.float32)).rows
    array([3, 7])
    """

    rows: NDArray[np.int64]
    features: NDArray[np.float32]


def candidates(
    scores: Sequence[NDArray[np.float32]],
    best: Sequence[tuple[NDArray[np.int32], NDArray[np.float32]]],
    logits: Sequence[bool],
    context: NDArray[np.int32],
    facts: ItemFacts,
    vectors: ItemVectors,
) -> Candidates:
    """The union of each part's best items for one context, with their features.

    Everything here is elementwise or a sum over a row of its own, so that a context's features
    are the same bits in any company.

    Args:
        scores: per part float32 [N], the scores of every item.
        best: per part its best rows, int32 [depth], and their scores, best first.
        logits: per part whether its scores are logits (:attr:`Predictor.logits`).
        context: int32 [L], the known items, newest last.
        facts: what training says of each item.
        vectors: a vector of each item.

    >>> from session_rec.ragged import Ragged
    >>> facts = ItemFacts.fit(Ragged.from_lists([[0, 1, 2]]), n_items=3)
    >>> scores = np.array([3, 1, 0], np.float32)
    >>> found = candidates([scores], [(np.array([0, 1]), scores[:2])], [False],
    ...                    np.array([1], np.int32), facts, ItemVectors(None))
    >>> found.rows.tolist(), found.features.shape
    ([0, 1], (2, 33))
    """
    rows = np.unique(np.concatenate([part for part, _ in best])).astype(np.int64)
    columns: list[NDArray[np.float64]] = []
    for line, (_, ordered), is_logits in zip(scores, best, logits, strict=True):
        columns += _part_features(line, line[rows], ordered.astype(np.float64), is_logits)
    columns += context_features(rows, context, facts.log_popularity)
    columns += fact_features(rows, context, facts, vectors)
    return Candidates(rows, np.stack(columns, axis=1).astype(np.float32))


def _part_features(
    line: NDArray[np.float32],
    own: NDArray[np.float32],
    ordered: NDArray[np.float64],
    logits: bool,
) -> list[NDArray[np.float64]]:
    value = own.astype(np.float64)
    top = ordered[0]
    if logits:
        total = np.exp(line - np.float32(top)).sum(dtype=np.float64)
        log_probability = value - top - np.log(total)
    else:
        total = np.maximum(line, 0).sum(dtype=np.float64)
        share = np.maximum(value, 0) / max(total, 1e-30)
        log_probability = np.log(np.maximum(share, np.exp(_LOG_FLOOR)))
    rank = np.searchsorted(-ordered, -value, side="left")
    return [
        np.maximum(log_probability, _LOG_FLOOR) / 4,
        1 / (rank + 1.0),
        np.log1p(rank) / 4,
        np.minimum((top - value) / (top - ordered[-1] + 1e-6), 4.0),
    ]
