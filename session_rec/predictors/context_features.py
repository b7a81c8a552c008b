"""What a context says of a candidate, to the network that ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.candidate_rows import CandidateRows
from session_rec.ragged import Ragged

CONTEXT_FEATURES = (
    "in_context",
    "recency_in_context",
    "log_times_in_context",
    "newest_item",
    "second_newest_item",
    "log_popularity",
    "log_length",
    "share_distinct",
    "in_context_by_log_length",
    "in_context_by_share_distinct",
)


def context_features(
    found: CandidateRows, contexts: Ragged, log_popularity: NDArray[np.float32]
) -> list[NDArray[np.float64]]:
    """The columns :data:`CONTEXT_FEATURES`, each float64 [C].

    Args:
        found: the candidates.
        contexts: B contexts of known items, newest last.
        log_popularity: float32 [N], log(1 + training clicks).

    >>> found = CandidateRows.union([np.array([[3, 5]])], 6)
    >>> columns = context_features(found, Ragged.from_lists([[5, 3, 5]]), np.zeros(6, np.float32))
    >>> dict(zip(CONTEXT_FEATURES, (c.tolist() for c in columns)))["recency_in_context"]
    [0.5, 1.0]
    """
    lengths = contexts.lengths
    click_context = np.repeat(np.arange(len(contexts)), lengths)
    clicks_since = contexts.offsets[1:][click_context] - 1 - np.arange(len(contexts.rows))
    at = found.places(click_context, contexts.rows)
    seen = at >= 0
    times = np.bincount(at[seen], minlength=len(found)).astype(np.float64)
    age = np.full(len(found), np.inf)
    np.minimum.at(age, at[seen], clicks_since[seen])
    inside = (times > 0).astype(np.float64)
    length = (np.log(lengths + 1.0) / 2)[found.context]
    clicked = np.unique(click_context * found.n_items + contexts.rows) // found.n_items
    distinct = np.bincount(clicked, minlength=len(contexts)) / np.maximum(lengths, 1)
    share_distinct = distinct[found.context]
    return [
        inside,
        1 / (age + 1),
        np.log1p(times),
        (age == 0).astype(np.float64),
        (age == 1).astype(np.float64),
        log_popularity[found.rows].astype(np.float64) / 8,
        length,
        share_distinct,
        inside * length,
        inside * share_distinct,
    ]
