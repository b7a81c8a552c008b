"""Other losses over the same scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.levers.lever import Lever
from training.transformer.config import SequenceTrainingConfig
from training.transformer.loss import CosineScores
from training.transformer.model import CosineNextItemTask


class _Smoothed(CosineNextItemTask):
    share = 0.0

    def losses(self, logits: Tensor, classes: Tensor) -> Tensor:
        log_p = torch.log_softmax(logits, dim=1)
        finite = torch.isfinite(logits)
        others = log_p.masked_fill(~finite, 0).sum(dim=1) / finite.sum(dim=1)
        hard = F.nll_loss(log_p, classes, reduction="none")
        return (1 - self.share) * hard - self.share * others


class LabelSmoothing(Lever):
    """``share`` of the target's probability goes to all items of the sample (Szegedy et al.)."""

    def __init__(self, share: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.share = share

    def task(
        self, config: SequenceTrainingConfig, counts: NDArray[np.int64] | None
    ) -> CosineNextItemTask:
        made = _Smoothed(config, counts)
        made.share = self.share
        return made


class _Hardest(CosineNextItemTask):
    kept = 0

    def losses(self, logits: Tensor, classes: Tensor) -> Tensor:
        hardest = logits[:, 1:].topk(min(self.kept, logits.shape[1] - 1), dim=1).values
        return F.cross_entropy(
            torch.cat([logits[:, :1], hardest], dim=1), classes, reduction="none"
        )


class HardestNegatives(Lever):
    """Only the ``kept`` best-scored negatives of each position count (TRON, Wilm et al. 2023)."""

    def __init__(self, kept: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.kept = kept

    def task(
        self, config: SequenceTrainingConfig, counts: NDArray[np.int64] | None
    ) -> CosineNextItemTask:
        made = _Hardest(config, counts)
        made.kept = self.kept
        return made


class _Gbce(CosineNextItemTask):
    calibration = 0.75

    def losses(self, logits: Tensor, classes: Tensor) -> Tensor:
        n_items = self.pre.table.num_embeddings - 1
        rate = min(1.0, (logits.shape[1] - 1) / (n_items - 1))
        beta = rate * (self.calibration * (1 - 1 / rate) + 1 / rate)
        negatives = F.softplus(logits[:, 1:]).sum(dim=1)  # softplus(-inf) is 0
        return -beta * F.logsigmoid(logits[:, 0]) + negatives


class Gbce(Lever):
    """Binary cross entropy with a calibrated positive (gSASRec, Petrov and Macdonald 2023);
    negatives are drawn uniformly, as there, and carry no logQ correction."""

    def __init__(self, calibration: float, **settings: Any) -> None:
        super().__init__(negative_power=0.0, **settings)
        self.calibration = calibration

    def task(
        self, config: SequenceTrainingConfig, counts: NDArray[np.int64] | None
    ) -> CosineNextItemTask:
        made = _Gbce(config, counts)
        made.calibration = self.calibration
        return made

    def begin(self, run: Any, train: Any) -> None:
        scores_of(run.model).log_inclusion.zero_()


class _InBatchScores(CosineScores):
    def sample(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        rows, _ = super().sample(targets)
        assert self.cumulative is not None and self.log_inclusion is not None
        own = torch.unique(targets - 1)
        both = torch.unique(torch.cat([rows, own]))
        # In the sample by a draw or as a target of the batch; targets come by popularity.
        missed = torch.log1p(-self.log_inclusion[both].exp().clamp_max(1 - 1e-7))
        missed = missed + len(targets) * torch.log1p(-self.popularity[both])
        return both, torch.log(-torch.expm1(missed))


class InBatch(Lever):
    """The other targets of the batch are negatives too, beside those drawn by popularity."""

    def begin(self, run: Any, train: Any) -> None:
        scores = scores_of(run.model)
        counts = np.maximum(np.bincount(train.rows, minlength=run.n_items), 1)
        popularity = torch.from_numpy((counts / counts.sum()).astype(np.float32))
        scores.register_buffer("popularity", popularity, persistent=False)
        scores.__class__ = _InBatchScores


def scores_of(model: Any) -> Any:
    """The module that makes scores of hidden states."""
    (task,) = model.heads[0].prediction_task_dict.values()
    return task.pre
