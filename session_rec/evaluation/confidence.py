"""How sure a model is of the first item of its slate, from its scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def first_item_confidence(
    scores: NDArray[np.float32], first: NDArray[np.float32], logits: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """float32 [B]: the probability, from 0 to 1, that the model gives to the item shown first.

    Where scores are logits it is the softmax over the whole catalog (the likelihood that such a
    model is trained by). Elsewhere scores are weights of evidence, and it is the item's share of
    all scores above 0; those at or below 0 stand for no evidence. It is 0 where nothing was shown
    or nothing has evidence. Whether such numbers are probabilities is what calibration measures
    (Guo et al. 2017, "On calibration of modern neural networks").

    Args:
        scores: float32 [B, N], finite.
        first: float32 [B], the score of the item shown first; -inf where none was.
        logits: bool [B], true where the row's scores are logits (a fallback's never are: they
            are counts).

    >>> scores = np.array([[0, np.log(3)], [3, -1]], np.float32)
    >>> first_item_confidence(scores, scores.max(axis=1), np.array([True, False])).tolist()
    [0.75, 1.0]
    """
    confidence = np.empty(len(scores), np.float32)
    # A row at a time stays in the cache of the core; [B, N] exponentials would not.
    line = np.empty(scores.shape[1], np.float32)
    for b in range(len(scores)):
        if logits[b]:
            top = scores[b].max()
            total = float(np.exp(np.subtract(scores[b], top, out=line), out=line).sum())
            weight = float(np.exp(first[b] - top))
        else:
            # Few items have evidence, as a rule: only those are looked at again.
            total = float(scores[b][scores[b] > 0].sum(dtype=np.float64))
            weight = max(float(first[b]), 0.0)
        confidence[b] = weight / total if total > 0 else 0.0
    return confidence
