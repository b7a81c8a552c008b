"""Scoring the torch model for early stopping. Reported numbers come from the saved bundle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from session_rec.ragged import Ragged
from session_rec.retrieval import check_finite
from training.transformer.batches import pad, prefixes
from training.transformer.config import SequenceTrainingConfig
from training.transformer.model import ITEM_ID, input_length

#: Contexts scored at once; bounds memory at 256 x N floats.
_BATCH = 256


def torch_scores(
    model: Any, contexts: Ragged, config: SequenceTrainingConfig
) -> NDArray[np.float32]:
    """float32 [B, N]: the model's scores of every catalog row, contexts at most max_length."""
    width = input_length(config, int(contexts.lengths.max()))
    ids = torch.from_numpy(pad(contexts, np.arange(len(contexts)), width))
    model.eval()
    with torch.no_grad():
        scores: NDArray[np.float32] = model({ITEM_ID: ids})[:, 1:].numpy()
    return scores


def validation_scores(
    model: Any, valid: Ragged, config: SequenceTrainingConfig
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """Every position p >= 1 of the sessions, in batches of contexts of like length.

    Yields the numbers of the questions (counted over all sessions in their order), int64 [B],
    their targets as catalog rows, int64 [B], and the scores, float32 [B, N].

    Raises:
        NonFiniteScoreError: a score is NaN or infinite.
    """
    contexts, targets = prefixes(valid, config.max_length)
    order = np.argsort(contexts.lengths, kind="stable")
    for start in range(0, len(order), _BATCH):
        which = order[start : start + _BATCH]
        scores = torch_scores(model, contexts.take(which), config)
        # A comparison with NaN is false: it would give every target the best rank there is.
        check_finite(scores)
        yield which, targets[which], scores


def validation_metrics(
    model: Any, valid: Ragged, config: SequenceTrainingConfig
) -> dict[str, float]:
    """``mrr20`` and ``hr20`` (0..1) over every position p >= 1, ties counted against the model.

    Raises:
        NonFiniteScoreError: a score is NaN or infinite.
    """
    reciprocal = hits = 0.0
    questions = 0
    for which, targets, scores in validation_scores(model, valid, config):
        wanted = scores[np.arange(len(which)), targets]
        rank = (scores >= wanted[:, None]).sum(axis=1)
        shown = rank <= 20
        hits += float(shown.sum())
        reciprocal += float((1 / rank[shown]).sum())
        questions += len(which)
    return {"mrr20": reciprocal / questions, "hr20": hits / questions}
