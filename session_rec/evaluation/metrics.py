"""Hit rate, MRR and NDCG from ranks, with intervals by resampling sessions.

One relevant item per question, so with rank ``r`` (from 1) and cut-off ``k``:
``HR@k = [r <= k]``, ``MRR@k = [r <= k] / r``, ``NDCG@k = [r <= k] / log2(r + 1)``
(Järvelin and Kekäläinen 2002, with one relevant item the ideal gain is 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from session_rec.retrieval import check_finite

CUTOFFS = (1, 5, 10, 20)
#: The rank of an item that was not ranked at all: a miss at every cut-off.
NOT_RANKED = 2**31 - 1


def pessimistic_ranks(scores: NDArray[np.float32], targets: NDArray[np.int32]) -> NDArray[np.int64]:
    """int64 [B]: rank of each target among all N items; ties count against it.

    The rank is the number of items with a score at or above the target's, itself included. A
    target that the catalog does not hold (-1) has rank :data:`NOT_RANKED`.

    Args:
        scores: float32 [B, N].
        targets: int32 [B], catalog rows or -1.

    Raises:
        NonFiniteScoreError: a score is NaN or infinite. No comparison with NaN is true: it would
            give its item the best rank of all.

    >>> scores = np.array([[0.5, 0.9, 0.5], [0.5, 0.9, 0.5]], np.float32)
    >>> pessimistic_ranks(scores, np.array([1, 0], np.int32))
    array([1, 3])
    """
    check_finite(scores)
    known = np.flatnonzero(targets >= 0)
    ranks = np.full(len(targets), NOT_RANKED, np.int64)
    own = scores[known, targets[known]]
    ranks[known] = np.count_nonzero(scores[known] >= own[:, None], axis=1)
    return ranks


def gains(
    ranks: NDArray[np.int64], cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, NDArray[np.float64]]:
    """Per metric, such as ``hr@20``, the contribution of every question: float64 [Q].

    >>> values = gains(np.array([1, 3, 9]), cutoffs=[5])
    >>> values["hr@5"], values["mrr@5"].round(3), values["ndcg@5"]
    (array([1., 1., 0.]), array([1.   , 0.333, 0.   ]), array([1. , 0.5, 0. ]))
    """
    out: dict[str, NDArray[np.float64]] = {}
    for k in cutoffs:
        hit = ranks <= k
        out[f"hr@{k}"] = hit.astype(np.float64)
        out[f"mrr@{k}"] = hit / ranks
        out[f"ndcg@{k}"] = hit / np.log2(ranks + 1.0)
    return out


def session_intervals(
    values: dict[str, NDArray[np.float64]],
    session: NDArray[np.int64],
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Per metric the percentile interval of its mean, resampling whole sessions.

    Questions of one session are not independent: intervals over questions would be too narrow
    (Field and Welsh 2007, cluster bootstrap).

    Args:
        values: per metric float64 [Q].
        session: int64 [Q], which session a question is from.

    >>> hits, session = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 1, 1])
    >>> session_intervals({"hr@1": hits}, session, seed=0)  # a sample may hold one session twice
    {'hr@1': (0.0, 1.0)}
    """
    _, code = np.unique(session, return_inverse=True)
    s = int(code.max()) + 1 if len(code) else 0
    if s == 0:
        return {name: (float("nan"), float("nan")) for name in values}
    size = np.bincount(code, minlength=s).astype(np.float64)
    sums = np.stack([np.bincount(code, weights=v, minlength=s) for v in values.values()], axis=1)
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, len(values)))
    for r in range(resamples):
        times = np.bincount(rng.integers(0, s, s), minlength=s).astype(np.float64)
        means[r] = times @ sums / (times @ size)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(values)}
