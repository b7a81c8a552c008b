"""Repeats: a session's own items get a share of the probability beside the model's scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.ragged import Ragged


def raise_repeats(
    scores: NDArray[np.float32], contexts: Ragged, weights: NDArray[np.float32]
) -> None:
    """Raises the scores of each context's own items, in place.

    A softmax of the raised scores is (1 - g) softmax(scores) + g a, of a gate g and an attention a
    over the context's entries (RepeatNet, Ren et al. 2019): with z the log of the sum of all
    exponentials of a row, and w the log of the sum of an item's weights, its score becomes
    log(exp(score) + exp(z + w)). All others stay as they are.

    Args:
        scores: float32 [B, N], finite.
        contexts: of catalog rows, B of them.
        weights: float32 [T], parallel to ``contexts.rows``: log(g / (1 - g)) + log(a).

    >>> scores = np.zeros((1, 3), np.float32)
    >>> raise_repeats(scores, Ragged.from_lists([[2]]), np.zeros(1, np.float32))
    >>> np.exp(scores) / np.exp(scores).sum()  # half of the softmax, and half for item 2
    array([[0.16666667, 0.16666667, 0.6666667 ]], dtype=float32)
    """
    # One at a time: a row fits the cache, all of them do not.
    total = np.array([_log_sum_exp(row) for row in scores], np.float32)
    context = np.repeat(np.arange(len(contexts)), contexts.lengths)
    # Once each, wherever in its context an item stands: the place of its score in the flat array.
    places, entry = np.unique(context * scores.shape[1] + contexts.rows, return_inverse=True)
    summed = np.bincount(entry, np.exp(weights), len(places))
    row, column = np.divmod(places, max(scores.shape[1], 1))
    with np.errstate(divide="ignore"):  # a weight too small for a float adds nothing
        scores[row, column] = np.logaddexp(scores[row, column], total[row] + np.log(summed))


def _log_sum_exp(row: NDArray[np.float32]) -> np.float32:
    largest = row.max()
    total: np.float32 = largest + np.log(np.exp(row - largest).sum())
    return total
