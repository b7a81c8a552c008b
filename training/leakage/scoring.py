"""Scores of a saved model, as ``evaluate`` computes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.ragged import Ragged
from session_rec.recommender import MICRO_BATCH, Recommender
from session_rec.retrieval import check_finite


def in_batches(recommender: Recommender, contexts: Ragged) -> NDArray[np.float32]:
    """float32 [B, N]: the scores of contexts, a micro-batch at a time.

    The batches are views: what lies behind a context stays behind it.

    Raises:
        NonFiniteScoreError: a score is NaN or infinite.
    """
    parts = []
    for i in range(0, len(contexts), MICRO_BATCH):
        offsets = contexts.offsets[i : min(i + MICRO_BATCH, len(contexts)) + 1]
        parts.append(recommender.score(Ragged(contexts.rows, offsets, contexts.ts, contexts.types)))
    for scores in parts:
        check_finite(scores)
    return np.concatenate(parts)
