"""AdamW on one cycle; the item table is updated only where a step touched it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from training.transformer.config import SequenceTrainingConfig

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class RowAdamW(Optimizer):
    """AdamW for an item table whose gradient is sparse: rows without one stay as they are,
    moments and weight decay included (TensorFlow's LazyAdam).

    A step looks at a few thousand of maybe 100,000 items. Dense AdamW would fill, clip and walk
    five arrays of the table's size for them, which on 43,000 items takes longer than the rest of
    the step.
    """

    def __init__(self, parameters: list[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, group["lr"], group["weight_decay"])

    def _update(self, table: Tensor, lr: float, decay: float) -> None:
        state: dict[str, Any] = self.state[table]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(table)
            state["exp_avg_sq"] = torch.zeros_like(table)
        assert table.grad is not None
        gradient = table.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        state["step"] += 1
        step = int(state["step"])
        mean = state["exp_avg"][rows].lerp_(values, 1 - _BETAS[0])
        square = state["exp_avg_sq"][rows].mul_(_BETAS[1])
        square.addcmul_(values, values, value=1 - _BETAS[1])
        state["exp_avg"].index_copy_(0, rows, mean)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        scale = square.div_(1 - _BETAS[1] ** step).sqrt_().add_(_EPSILON)
        moved = table[rows].mul_(1 - lr * decay)
        moved.addcdiv_(mean, scale, value=-lr / (1 - _BETAS[0] ** step))
        table.index_copy_(0, rows, moved)


def build_optimizers(
    parameters: list[Tensor], sparse: Tensor | None, config: SequenceTrainingConfig
) -> list[Optimizer]:
    """AdamW that decays matrices and leaves biases and norms alone; ``sparse``, if given, is the
    item table among ``parameters`` that gets sparse gradients."""
    dense = [p for p in parameters if p is not sparse]
    matrices = [p for p in dense if p.ndim >= 2]
    vectors = [p for p in dense if p.ndim < 2]
    optimizers: list[Optimizer] = [
        AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=_BETAS,
            eps=_EPSILON,
            fused=True,
        )
    ]
    if sparse is not None:
        optimizers.append(RowAdamW([sparse], config.learning_rate, config.weight_decay))
    return optimizers


def clip_gradients(parameters: list[Tensor], largest: float) -> None:
    """Scales all gradients, sparse ones included, so that their joint norm is at most
    ``largest``."""
    values = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            # Only once summed up by row do the values have the gradient's norm.
            parameter.grad = parameter.grad.coalesce()
            values.append(parameter.grad.values())
        else:
            values.append(parameter.grad)
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(v) for v in values]))
    scale = (largest / (norm + 1e-6)).clamp_max(1.0)
    for value in values:
        value.mul_(scale)


def learning_rate(step: int, total_steps: int, config: SequenceTrainingConfig) -> float:
    """The rate of a step (from 0): cosine up from 1/25 of the peak, cosine down to 0
    (one cycle, Smith and Topin 2018). A pure function, so a resumed run needs no scheduler."""
    warm = config.warmup * total_steps
    if step < warm:
        rise = (1 - math.cos(math.pi * step / warm)) / 2
        return config.learning_rate * (0.04 + 0.96 * rise)
    fall = (step - warm) / (total_steps - warm)
    return config.learning_rate * (1 + math.cos(math.pi * fall)) / 2
