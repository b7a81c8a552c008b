"""Other losses over the same scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.levers.lever import Lever
from training.transformer.config import SequenceTrainingConfig
from training.transformer.loss import CosineScores
from training.transformer.model import CosineNextItemTask, task


class _LeverLoss(CosineNextItemTask):
    lever: OtherLoss

    def losses(self, logits: Tensor, classes: Tensor) -> Tensor:
        return self.lever.losses(logits, classes, self.pre.table.num_embeddings - 1)


class OtherLoss(Lever, ABC):
    """Another loss of the same logits."""

    def task(
        self, config: SequenceTrainingConfig, counts: NDArray[np.int64] | None
    ) -> CosineNextItemTask:
        made = _LeverLoss(config, counts)
        made.lever = self
        return made

    @abstractmethod
    def losses(self, logits: Tensor, classes: Tensor, n_items: int) -> Tensor:
        """float32 [P], of logits [P, 1 + sampled], the target in column 0."""


class LabelSmoothing(OtherLoss):
    """``share`` of the target's probability goes to all items of the sample (Szegedy et al.)."""

    def __init__(self, share: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.share = share

    def losses(self, logits: Tensor, classes: Tensor, n_items: int) -> Tensor:
        log_p = torch.log_softmax(logits, dim=1)
        finite = torch.isfinite(logits)
        others = log_p.masked_fill(~finite, 0).sum(dim=1) / finite.sum(dim=1)
        hard = F.nll_loss(log_p, classes, reduction="none")
        return (1 - self.share) * hard - self.share * others


class HardestNegatives(OtherLoss):
    """Only the ``kept`` best-scored negatives of each position count (TRON, Wilm et al. 2023)."""

    def __init__(self, kept: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.kept = kept

    def losses(self, logits: Tensor, classes: Tensor, n_items: int) -> Tensor:
        hardest = logits[:, 1:].topk(min(self.kept, logits.shape[1] - 1), dim=1).values
        return F.cross_entropy(
            torch.cat([logits[:, :1], hardest], dim=1), classes, reduction="none"
        )


class Gbce(OtherLoss):
    """Binary cross entropy with a calibrated positive (gSASRec, Petrov and Macdonald 2023);
    negatives are drawn uniformly, as there, and carry no logQ correction."""

    def __init__(self, calibration: float, **settings: Any) -> None:
        super().__init__(negative_power=0.0, **settings)
        self.calibration = calibration

    def losses(self, logits: Tensor, classes: Tensor, n_items: int) -> Tensor:
        rate = min(1.0, (logits.shape[1] - 1) / (n_items - 1))
        beta = rate * (self.calibration * (1 - 1 / rate) + 1 / rate)
        negatives = F.softplus(logits[:, 1:]).sum(dim=1)  # softplus(-inf) is 0
        return -beta * F.logsigmoid(logits[:, 0]) + negatives

    def begin(self, run: Any, train: Any) -> None:
        task(run.model).pre.log_inclusion.zero_()


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
        scores = task(run.model).pre
        counts = np.maximum(np.bincount(train.rows, minlength=run.n_items), 1)
        popularity = torch.from_numpy((counts / counts.sum()).astype(np.float32))
        scores.register_buffer("popularity", popularity, persistent=False)
        scores.__class__ = _InBatchScores
