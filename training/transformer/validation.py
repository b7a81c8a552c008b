"""Scoring the torch model for early stopping. Reported numbers come from the saved bundle."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from session_rec.ragged import Ragged
from training.transformer.batches import pad, prefixes
from training.transformer.config import TransformerConfig
from training.transformer.model import ITEM_ID, input_length

#: Contexts scored at once; bounds memory at 256 x N floats.
_BATCH = 256


def torch_scores(model: Any, contexts: Ragged, config: TransformerConfig) -> NDArray[np.float32]:
    """float32 [B, N]: the model's scores of every catalog row, contexts at most max_length."""
    width = input_length(config, int(contexts.lengths.max()))
    ids = torch.from_numpy(pad(contexts, np.arange(len(contexts)), width))
    model.eval()
    with torch.no_grad():
        scores: NDArray[np.float32] = model({ITEM_ID: ids})[:, 1:].numpy()
    return scores


def validation_metrics(model: Any, valid: Ragged, config: TransformerConfig) -> dict[str, float]:
    """``mrr20`` and ``hr20`` (0..1) over every position p >= 1, ties counted against the model."""
    contexts, targets = prefixes(valid, config.max_length)
    order = np.argsort(contexts.lengths, kind="stable")
    reciprocal = hits = 0.0
    for start in range(0, len(order), _BATCH):
        which = order[start : start + _BATCH]
        scores = torch_scores(model, contexts.take(which), config)
        wanted = scores[np.arange(len(which)), targets[which]]
        rank = (scores >= wanted[:, None]).sum(axis=1)
        shown = rank <= 20
        hits += float(shown.sum())
        reciprocal += float((1 / rank[shown]).sum())
    return {"mrr20": reciprocal / len(order), "hr20": hits / len(order)}
