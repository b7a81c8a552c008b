"""A transformer that goes on from the weights of an earlier one, its item table grown."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.transformer.model import item_table, weights
from training.warm_start import TrainingWeights, WarmStart

#: The item table among the weights, float32 [N, d], without the row of padding.
ITEM_TABLE = "item_table"


def training_weights(model: Any) -> TrainingWeights:
    """All weights of ``model`` as numpy arrays, for :func:`go_on_from`."""
    table = item_table(model).weight
    named = {n: t for n, t in weights(model).items() if t.data_ptr() != table.data_ptr()}
    arrays = {name: tensor.contiguous().numpy().copy() for name, tensor in named.items()}
    return {**arrays, ITEM_TABLE: table.detach()[1:].contiguous().numpy().copy()}


def go_on_from(start: WarmStart, model: Any) -> None:
    """Puts the earlier weights into a fresh ``model``, in place.

    Rows of new items stay as the fresh model has them, turned as a whole by the rotation that
    brings its known rows closest to the earlier ones (orthogonal Procrustes, Schönemann 1966): a
    start by co-occurrence means something only up to a rotation, and the trained table has its
    own.

    Raises:
        UserError: the earlier model is of another shape.
    """
    table = item_table(model).weight
    fresh = table.detach()[1:].numpy()
    grown = start.grown(ITEM_TABLE, fresh @ _rotation(fresh, start))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter is table:
                parameter[1:] = torch.from_numpy(grown)
            else:
                parameter.copy_(torch.from_numpy(start.array(name, tuple(parameter.shape))))


def _rotation(fresh: NDArray[np.float32], start: WarmStart) -> NDArray[np.float32]:
    known = start.rows >= 0
    identity: NDArray[np.float32] = np.eye(fresh.shape[1], dtype=np.float32)
    earlier = start.grown(ITEM_TABLE, fresh)
    left, _, right = np.linalg.svd(fresh[known].T.astype(np.float64) @ earlier[known])
    return (left @ right).astype(np.float32) if known.any() else identity
