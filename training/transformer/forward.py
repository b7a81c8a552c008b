"""The forwards of the training loop over whole sessions, for the leakage certificate."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from session_rec.ragged import Ragged
from training.leakage.forward import Asked, SessionForward
from training.transformer.batches import pad, training_sessions
from training.transformer.loop import TrainedSequenceModel
from training.transformer.model import ITEM_ID, CosineNextItemTask, task, training_length
from training.transformer.runtime import torch_settings
from training.transformer.validation import validation_scores


class SequenceModelForward(SessionForward):
    """Calls the model as the training loop does, and reads what its loss would have compared.

    The hidden states are taken where the loss takes them, behind T4R's masking and the body; then
    they score every item, where the loss may have scored a sample.
    """

    def __init__(self, trained: TrainedSequenceModel) -> None:
        self._model, self._config = trained.model, trained.config
        self.longest = trained.config.max_length + 1
        self.both_sides = trained.config.objective == "mlm"
        self.one_width = training_length(trained.config) is not None

    def training(
        self,
        sessions: Ragged,
        *,
        training_mode: bool,
        at: NDArray[np.int64] | None = None,
        width: int | None = None,
        seed: int = 0,
    ) -> Asked:
        taken, kept = training_sessions(sessions, self._config.max_length)
        if len(kept) != len(sessions) or not np.array_equal(taken.offsets, sessions.offsets):
            raise ValueError("sessions must have 2 to max_length + 1 items")
        width = training_length(self._config) if width is None else width
        with torch_settings(self._config.threads), torch.no_grad():
            torch.manual_seed(seed)
            ids = torch.from_numpy(pad(taken, np.arange(len(taken)), width))
            states = self._loss_inputs(ids, training_mode)
            labels = self._task.masking.masked_targets
            row, last = torch.nonzero(labels, as_tuple=True)
            session, place, labels = row.numpy(), last.numpy(), labels[row, last].numpy()
            # T4R keeps the label of a causal position beside the input before it.
            position = place if self.both_sides else place + 1
            wanted = np.ones(len(place), bool) if at is None else position == at[session]
            which = torch.from_numpy(wanted)
            scores = self._task.scores(states, ids, row[which], last[which])[:, 1:].numpy()
        return Asked(session[wanted], position[wanted], labels[wanted] - 1, scores)

    def validation(self, sessions: Ragged, at: NDArray[np.int64]) -> Asked:
        # Questions are counted over all sessions, from the second item of each.
        number = sessions.offsets[:-1] - np.arange(len(sessions)) + at - 1
        parts = []
        with torch_settings(self._config.threads):
            for which, targets, scores in validation_scores(self._model, sessions, self._config):
                wanted = np.isin(which, number)
                parts.append((which[wanted], targets[wanted], scores[wanted]))
        order = np.argsort(np.concatenate([which for which, _, _ in parts]))
        return Asked(
            np.arange(len(sessions)),
            at,
            np.concatenate([targets for _, targets, _ in parts])[order],
            np.concatenate([scores for _, _, scores in parts])[order],
        )

    @property
    def _task(self) -> CosineNextItemTask:
        return task(self._model)

    def _loss_inputs(self, ids: Tensor, training_mode: bool) -> Tensor:
        """float32 [B, L, d]: the hidden states that the loss is computed of."""
        seen: list[Tensor] = []

        def take(module: nn.Module, arguments: Any) -> None:
            seen.append(arguments[0])

        dropouts = {m: m.p for m in self._model.modules() if isinstance(m, nn.Dropout)}
        hook = self._task.register_forward_pre_hook(take)
        try:
            self._model.train(training_mode)
            for module in dropouts:
                module.p = 0.0
            self._model({ITEM_ID: ids}, targets=torch.ones(len(ids)), training=True)
        finally:
            hook.remove()
            for module, p in dropouts.items():
                module.p = p
            self._model.eval()
        (states,) = seen
        return states
