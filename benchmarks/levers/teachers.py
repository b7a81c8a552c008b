"""Learning from another model's answers beside the clicks (distillation, Hinton et al. 2015)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.levers.lever import LeverRun, TaskLever
from session_rec.console import err
from session_rec.ragged import Ragged
from training.fitters import FitData, fit_model, model_config
from training.transformer.batches import prefixes
from training.transformer.model import CosineNextItemTask

#: Contexts that the teacher answers at once.
_BATCH = 256


class _Answers(NamedTuple):
    """What the teacher says of every question of the training sessions.

    Attributes:
        rows: int64 [Q, K], its K best catalog rows.
        shares: float32 [Q, K], the softmax of its scores over these.
        first: int64 [S], the first question of each session.
    """

    rows: NDArray[np.int64]
    shares: NDArray[np.float32]
    first: NDArray[np.int64]


class Teacher:
    """A model that answers the questions of sessions that it was not fitted on: the sessions are
    split at random, and each part is answered by a model fitted on the others.

    ``settings`` are those of a model kind whose scores are logits.
    """

    def __init__(self, kind: str, settings: dict[str, Any], folds: int = 4, best: int = 30) -> None:
        self.kind, self.settings, self.folds, self.best = kind, settings, folds, best
        self._known: _Answers | None = None

    def answers(self, run: LeverRun, train: Ragged) -> _Answers:
        """For ``run.sessions``, of which the first asking one is the first of ``train`` that has
        two items. Worked out once: a teacher is for one set of sessions."""
        if self._known is None:
            self._known = self._ask(run, train)
        return self._known

    def _ask(self, run: LeverRun, train: Ragged) -> _Answers:
        length, config = run.config.max_length, model_config(self.kind)
        asking = np.flatnonzero(train.lengths >= 2)
        questions = run.sessions.lengths - 1
        first = np.cumsum(questions) - questions
        best = min(self.best, run.n_items)
        rows = np.zeros((int(questions.sum()), best), np.int64)
        shares = np.zeros(rows.shape, np.float32)
        fold = np.random.default_rng(run.config.seed).permutation(len(train)) % self.folds
        for k in range(self.folds):
            err.print(f"teacher {k + 1} of {self.folds}", markup=False)
            with tempfile.TemporaryDirectory() as place:
                others = train.take(np.flatnonzero(fold != k))
                data = FitData(others, Ragged.from_lists([]), run.n_items, Path(place), err)
                settings = config.model_validate(self.settings)
                teacher = fit_model(self.kind, data, settings).predictor
            mine = np.flatnonzero(fold[asking] == k)
            contexts, _ = prefixes(run.sessions.take(mine), length)
            at = np.concatenate([first[s] + np.arange(questions[s]) for s in mine])
            for begin in range(0, len(at), _BATCH):
                which = np.arange(begin, min(begin + _BATCH, len(at)))
                found, scores = teacher.top_k(contexts.take(which), best)
                rows[at[which]] = found
                likely = np.exp(scores - scores.max(axis=1, keepdims=True))
                shares[at[which]] = likely / likely.sum(axis=1, keepdims=True)
        return _Answers(rows, shares, first)


class _TaughtTask(CosineNextItemTask):
    lever: Distilled

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor | None = None,
        training: bool = False,
        *others: Any,
        **named: Any,
    ) -> Any:
        output = super().forward(inputs, targets, training, *others, **named)
        if targets is None or not training:
            return output
        asked = self.masking.masked_targets != self.padding_idx
        row, last = torch.nonzero(asked, as_tuple=True)
        weights = targets[row]
        taught = self._taught(inputs, row, last, output["predictions"])
        soft = (taught * weights).sum() / weights.sum()
        share = self.lever.share
        return output | {"loss": (1 - share) * output["loss"] + share * soft}

    def _taught(self, inputs: Tensor, row: Tensor, last: Tensor, logits: Tensor) -> Tensor:
        """float32 [P]: cross entropy with the teacher's shares, the sum of all exponentials
        estimated by ``logits``, the sample of the hard loss."""
        rows, shares = self.lever.answers(row, last)
        query = F.normalize(inputs[row, last], dim=-1) / self.config.temperature
        vectors = F.normalize(self.pre.table(rows + 1), dim=-1)
        scores = (vectors @ query[:, :, None]).squeeze(2)
        losses = torch.logsumexp(logits, dim=1, keepdim=True) - scores
        if self.repeats is not None:
            k = rows.shape[1]
            losses = self.repeats.losses(
                losses.flatten(),
                inputs,
                self.embeddings.item_seq,
                row.repeat_interleave(k),
                last.repeat_interleave(k),
                (rows + 1).flatten(),
            ).view_as(rows)
        return (losses * shares).sum(dim=1)


class Distilled(TaskLever):
    """``share`` of the loss is the cross entropy with the teacher's best items."""

    task_type = _TaughtTask

    def __init__(self, teacher: Teacher, share: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.teacher, self.share = teacher, share
        self._which = np.zeros(0, np.int64)

    def begin(self, run: LeverRun, train: Ragged) -> None:
        self._answers = self.teacher.answers(run, train)

    def seen(self, sessions: Ragged, which: NDArray[np.int64], ids: Tensor) -> None:
        self._which = which

    def answers(self, row: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Rows int64 [P, K] and shares float32 [P, K] for what follows position ``last[p]`` of
        session ``row[p]`` of the batch."""
        question = self._answers.first[self._which[row.numpy()]] + last.numpy()
        return (
            torch.from_numpy(self._answers.rows[question]),
            torch.from_numpy(self._answers.shares[question]),
        )
