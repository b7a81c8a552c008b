"""What a context says of a candidate, to the network that ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    rows: NDArray[np.int64], context: NDArray[np.int32], log_popularity: NDArray[np.float32]
) -> list[NDArray[np.float64]]:
    """The columns :data:`CONTEXT_FEATURES`, each float64 [C].

    Args:
        rows: int64 [C], the candidates, ascending.
        context: int32 [L], the known items, newest last.
        log_popularity: float32 [N], log(1 + training clicks).

    >>> columns = context_features(np.array([3, 5]), np.array([5, 3, 5]), np.zeros(6, np.float32))
    >>> dict(zip(CONTEXT_FEATURES, (c.tolist() for c in columns)))["recency_in_context"]
    [0.5, 1.0]
    """
    newest_first = context[::-1]
    times = np.zeros(len(rows))
    age = np.full(len(rows), np.inf)
    for clicks, item in enumerate(newest_first.tolist()):
        at = int(np.searchsorted(rows, item))
        if at < len(rows) and rows[at] == item:
            times[at] += 1
            age[at] = min(age[at], clicks)
    inside = (times > 0).astype(np.float64)
    length = np.log(len(context) + 1.0) / 2
    distinct = len(set(newest_first.tolist())) / max(len(context), 1)
    alike = np.ones(len(rows))
    return [
        inside,
        1 / (age + 1),
        np.log1p(times),
        (age == 0).astype(np.float64),
        (age == 1).astype(np.float64),
        log_popularity[rows].astype(np.float64) / 8,
        length * alike,
        distinct * alike,
        inside * length,
        inside * distinct,
    ]
