"""Exact top-k over the catalog, with the filter inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.errors import UserError

#: Rows of the catalog per block whose maximum is taken first.
_BLOCK = 64


class NonFiniteScoreError(UserError, ValueError):
    """A model gave NaN or infinity: it is broken, and must not rank."""

    def __init__(self) -> None:
        super().__init__(
            "the model gave a score that is NaN or infinite: it is broken and ranks nothing; "
            "train it again"
        )


def check_finite(scores: NDArray[np.float32]) -> None:
    """Raises :class:`NonFiniteScoreError` if any score is NaN or infinite.

    >>> check_finite(np.array([[0.5, np.nan]], np.float32))
    Traceback (most recent call last):
    session_rec.retrieval.NonFiniteScoreError: the model gave a score that is NaN or infinite: ...
    """
    # One pass and no [B, N] mask: the sum is finite unless a term is not (or it overflows,
    # which the exact check then decides).
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(scores.sum(dtype=np.float64)) and not np.isfinite(scores).all():
            raise NonFiniteScoreError


def top_k(
    scores: NDArray[np.float32], k: int, blocked: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k best catalog rows of each context: by score descending, then row ascending.

    Args:
        scores: float32 [B, N], finite.
        k: length of the slates.
        blocked: bool [N] or [B, N], true where an item may not be shown.

    Returns:
        rows int32 [B, k] and scores float32 [B, k]; where fewer than k items may be shown the
        rest is row -1 and score -inf.

    Raises:
        NonFiniteScoreError: a score is NaN or infinite.

    >>> scores = np.array([[1, 3, 3, 2]], np.float32)
    >>> top_k(scores, 3)[0]
    array([[1, 2, 3]], dtype=int32)
    >>> rows, best = top_k(scores, 3, blocked=np.array([False, True, True, False]))
    >>> rows, best
    (array([[ 3,  0, -1]], dtype=int32), array([[  2.,   1., -inf]], dtype=float32))
    """
    check_finite(scores)
    if blocked is not None:
        scores = np.where(blocked, np.float32(-np.inf), scores)
    b, n = scores.shape
    rows = np.full((b, k), -1, np.int32)
    best = np.full((b, k), -np.inf, np.float32)
    kk = min(k, n)
    threshold = _lower_bound(scores, kk)
    for i in range(b):
        line = scores[i]
        candidates = np.flatnonzero(line >= threshold[i])
        values = line[candidates]
        # Candidates come in ascending row order, so a stable sort breaks ties by row.
        order = np.argsort(-values, kind="stable")[:kk]
        found = values[order]
        m = int(np.count_nonzero(found > -np.inf))
        rows[i, :m] = candidates[order[:m]]
        best[i, :m] = found[:m]
    return rows, best


def _lower_bound(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """float32 [B]: a value that at least k scores of the row reach, and few more.

    The k-th largest of the block maxima is reached by k different items, one per block.
    """
    b, n = scores.shape
    blocks = n // _BLOCK
    if blocks < 2 * k:
        return np.partition(scores, n - k, axis=1)[:, n - k].copy()
    maxima = scores[:, : blocks * _BLOCK].reshape(b, _BLOCK, blocks).max(axis=1)
    return np.partition(maxima, blocks - k, axis=1)[:, blocks - k].copy()
