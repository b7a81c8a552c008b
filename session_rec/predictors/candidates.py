"""What a re-ranker sees: the parts' best items together, and what is known of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.candidate_rows import CandidateRows
from session_rec.predictors.context_features import CONTEXT_FEATURES, context_features
from session_rec.predictors.fact_features import FACT_FEATURES, ItemVectors, fact_features
from session_rec.predictors.item_facts import ItemFacts
from session_rec.ragged import Ragged

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
    """The candidates of B contexts.

    Attributes:
        found: which items they are.
        features: float32 [C, F], columns as :func:`feature_names`.

    >>> found = CandidateRows.union([np.array([[3, 7]])], 9)
    >>> Candidates(found, np.zeros((2, 33), np.float32)).found.rows
    array([3, 7])
    """

    found: CandidateRows
    features: NDArray[np.float32]


def candidates(
    scores: Sequence[NDArray[np.float32]],
    best: Sequence[tuple[NDArray[np.int32], NDArray[np.float32]]],
    logits: Sequence[bool],
    contexts: Ragged,
    facts: ItemFacts,
    vectors: ItemVectors,
) -> Candidates:
    """The union of each part's best items for each context, with their features.

    Everything here is elementwise or a sum over a row of its own, so that a context's features
    are the same bits in any company.

    Args:
        scores: per part float32 [B, N], the scores of every item.
        best: per part its best rows, int32 [B, depth], and their scores, best first.
        logits: per part whether its scores are logits (:attr:`Predictor.logits`).
        contexts: B contexts of known items, newest last.
        facts: what training says of each item.
        vectors: a vector of each item.

    >>> contexts = Ragged.from_lists([[1]])
    >>> facts = ItemFacts.fit(Ragged.from_lists([[0, 1, 2]]), n_items=3)
    >>> scores = np.array([[3, 1, 0]], np.float32)
    >>> best = np.array([[0, 1]], np.int32), scores[:, :2]
    >>> of = candidates([scores], [best], [False], contexts, facts, ItemVectors(None))
    >>> of.found.rows.tolist(), of.features.shape
    ([0, 1], (2, 33))
    """
    found = CandidateRows.union([rows for rows, _ in best], facts.n_items)
    columns: list[NDArray[np.float64]] = []
    for lines, (_, ordered), is_logits in zip(scores, best, logits, strict=True):
        columns += _part_features(found, lines, ordered.astype(np.float64), is_logits)
    columns += context_features(found, contexts, facts.log_popularity)
    columns += fact_features(found, contexts, facts, vectors)
    features = np.empty((len(found), len(columns)), np.float32)
    for f, column in enumerate(columns):
        features[:, f] = column
    return Candidates(found, features)


def _part_features(
    found: CandidateRows,
    lines: NDArray[np.float32],
    ordered: NDArray[np.float64],
    logits: bool,
) -> list[NDArray[np.float64]]:
    value = lines[found.context, found.rows].astype(np.float64)
    # One context at a time: the probabilities of all items for all of them may be a gigabyte.
    total = np.empty(len(ordered))
    rank = np.empty(len(found), np.int64)
    for b, (line, its_best) in enumerate(zip(lines, ordered, strict=True)):
        if logits:
            total[b] = np.exp(line - np.float32(its_best[0])).sum(dtype=np.float64)
        else:
            total[b] = np.maximum(line, 0).sum(dtype=np.float64)
        own = found.of(b)
        rank[own] = np.searchsorted(-its_best, -value[own], side="left")
    total, top, last = total[found.context], ordered[found.context, 0], ordered[found.context, -1]
    if logits:
        log_probability = value - top - np.log(total)
    else:
        share = np.maximum(value, 0) / np.maximum(total, 1e-30)
        log_probability = np.log(np.maximum(share, np.exp(_LOG_FLOOR)))
    return [
        np.maximum(log_probability, _LOG_FLOOR) / 4,
        1 / (rank + 1.0),
        np.log1p(rank) / 4,
        np.minimum((top - value) / (top - last + 1e-6), 4.0),
    ]
