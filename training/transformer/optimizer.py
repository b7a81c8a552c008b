"""AdamW on one cycle."""

from __future__ import annotations

import math

from torch import Tensor
from torch.optim import AdamW

from training.transformer.config import TransformerConfig


def build_optimizer(parameters: list[Tensor], config: TransformerConfig) -> AdamW:
    """AdamW that decays matrices (the item table included) and leaves biases and norms alone."""
    matrices = [p for p in parameters if p.ndim >= 2]
    vectors = [p for p in parameters if p.ndim < 2]
    return AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        # One pass over each tensor; on a large item table the optimizer is memory-bound.
        fused=True,
    )


def learning_rate(step: int, total_steps: int, config: TransformerConfig) -> float:
    """The rate of a step (from 0): cosine up from 1/25 of the peak, cosine down to 0
    (one cycle, Smith and Topin 2018). A pure function, so a resumed run needs no scheduler."""
    warm = config.warmup * total_steps
    if step < warm:
        rise = (1 - math.cos(math.pi * step / warm)) / 2
        return config.learning_rate * (0.04 + 0.96 * rise)
    fall = (step - warm) / (total_steps - warm)
    return config.learning_rate * (1 + math.cos(math.pi * fall)) / 2
