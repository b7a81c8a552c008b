"""What one row of the ablation table changes in the training of the transformer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from session_rec.ragged import Ragged
from session_rec.retrieval import check_finite
from training.transformer.batches import pad, prefixes
from training.transformer.bodies import build_body
from training.transformer.config import SequenceTrainingConfig
from training.transformer.loop import TrainingRun
from training.transformer.model import ITEM_ID, CosineNextItemTask, build_model, input_length

#: Contexts scored at once.
_BATCH = 256


class Lever:
    """Changes nothing but ``settings``; a subclass changes one thing more.

    ``sessions`` are right-padded id batches, int64 [B, L], catalog row + 1.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings: Mapping[str, Any] = settings

    def body(self, config: SequenceTrainingConfig, masking: Any) -> Any:
        """What reads the items of a session."""
        return build_body(config, masking)

    def task(
        self, config: SequenceTrainingConfig, counts: NDArray[np.int64] | None
    ) -> CosineNextItemTask:
        """What scores them, and the loss."""
        return CosineNextItemTask(config, counts)

    def begin(self, run: LeverRun, train: Ragged) -> None:
        """Once, when model, start of the item table and optimizers stand."""

    def seen(self, sessions: Ragged, which: NDArray[np.int64], ids: Tensor) -> None:
        """Told of every batch before the model sees it, in training and in validation."""

    def shown(self, run: LeverRun, which: NDArray[np.int64]) -> tuple[Ragged, NDArray[np.int64]]:
        """The sessions of a training batch, and which of them."""
        return run.sessions, which


class LeverRun(TrainingRun):
    """A training run with a lever. Validation runs after the last epochs only."""

    def __init__(
        self, lever: Lever, train: Ragged, *args: Any, validated: int = 1, **kwargs: Any
    ) -> None:
        self.lever, self.validated = lever, validated
        super().__init__(train, *args, **kwargs)
        lever.begin(self, train)

    def build(self, counts: NDArray[np.int64]) -> Any:
        return build_model(
            self.n_items, self.config, counts, body=self.lever.body, task=self.lever.task
        )

    def inputs(self, which: NDArray[np.int64]) -> Tensor:
        sessions, taken = self.lever.shown(self, which)
        width = self.config.max_length + 1 if self.config.sees_padding else None
        ids = torch.from_numpy(pad(sessions, taken, width))
        self.lever.seen(sessions, taken, ids)
        return ids

    def validate(self) -> dict[str, float]:
        left = self.config.epochs - self.state.step // self.steps_per_epoch
        if left >= self.validated:
            return {"mrr20": 0.0, "hr20": 0.0}
        contexts, targets = prefixes(self.valid, self.config.max_length)
        order = np.argsort(contexts.lengths, kind="stable")
        ranks = []
        self.model.eval()
        for first in range(0, len(order), _BATCH):
            which = order[first : first + _BATCH]
            scores = self._scores(contexts, which)
            check_finite(scores)
            wanted = scores[np.arange(len(which)), targets[which]]
            ranks.append((scores >= wanted[:, None]).sum(axis=1))
        rank = np.concatenate(ranks)
        return {
            "mrr20": float(np.where(rank <= 20, 1 / rank, 0).mean()),
            "hr20": float((rank <= 20).mean()),
        }

    def _scores(self, contexts: Ragged, which: NDArray[np.int64]) -> NDArray[np.float32]:
        longest = int(contexts.lengths[which].max())
        ids = torch.from_numpy(pad(contexts, which, input_length(self.config, longest)))
        self.lever.seen(contexts, which, ids)
        with torch.no_grad():
            scores: NDArray[np.float32] = self.model({ITEM_ID: ids})[:, 1:].numpy()
        return scores


#: Makes a lever anew for each training: it may keep what it saw.
MakeLever = Callable[[], Lever]
