"""What a teacher says came next: probabilities of its best items, for every training question."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from session_rec.console import progress_bar
from session_rec.errors import UserError
from session_rec.files import write_file
from session_rec.ragged import Ragged
from session_rec.recommender import MICRO_BATCH
from training.fingerprint import fingerprint_of
from training.transformer.batches import prefixes, training_sessions
from training.transformer.config import SequenceTrainingConfig
from training.transformer.teacher import TeacherConfig

if TYPE_CHECKING:
    from training.fitters import Fitted

#: Fits a teacher on some of the sessions; the path is a place for its checkpoints.
FitTeacher = Callable[[Ragged, Path], "Fitted"]


class Answers(NamedTuple):
    """A teacher's answers to Q questions.

    Attributes:
        rows: int32 [Q, K], its K best catalog rows.
        probabilities: float32 [Q, K], theirs among the K; all 0 where it has no evidence for any.
        deterministic: the same training gives the same answers.
    """

    rows: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    deterministic: bool = True


class BatchTargets(NamedTuple):
    """What the P questions of a batch are compared with beside their clicks.

    Attributes:
        ids: int64 [P, K], catalog row + 1.
        weights: float32 [P, 1 + K], of the losses of the click and of ``ids``; they sum to 1.
    """

    ids: Tensor
    weights: Tensor


class SoftTargets:
    """The answers to every question of the training sessions.

    Args:
        answers: to the questions of one session after the other.
        lengths: int64 [S], of the sessions; one of n items asks n - 1 questions.
        share: of the loss.
    """

    def __init__(self, answers: Answers, lengths: NDArray[np.int64], share: float) -> None:
        self._answers, self._share = answers, share
        #: The same training gives the same answers.
        self.deterministic = answers.deterministic
        self._questions = lengths - 1
        self._first = np.cumsum(self._questions) - self._questions

    def batch(self, which: NDArray[np.int64]) -> BatchTargets:
        """For the questions of the sessions ``which``, one session after the other."""
        questions = np.concatenate(
            [np.arange(self._first[s], self._first[s] + self._questions[s]) for s in which]
        )
        soft = self._share * self._answers.probabilities[questions]
        # Where the teacher has nothing to say, the click is all of the loss.
        click = 1 - soft.sum(axis=1, keepdims=True)
        return BatchTargets(
            torch.from_numpy(self._answers.rows[questions].astype(np.int64) + 1),
            torch.from_numpy(np.concatenate([click, soft], axis=1)),
        )


def ask_teacher(
    train: Ragged,
    n_items: int,
    config: SequenceTrainingConfig,
    teacher: TeacherConfig,
    fit_teacher: FitTeacher,
    run_dir: Path,
    console: Console | None = None,
) -> SoftTargets:
    """Fits the teachers, one a fold, and asks each about the sessions that it was not fitted on.

    The answers of a fold are kept in ``run_dir``, and those that are there are not asked for again.

    Args:
        train: sessions in chronological order, as the training gets them.
        n_items: N; rows are in 0..N-1.
        config: of the model that learns; its seed deals the sessions into folds.
        run_dir: gets ``answers-1-of-2.safetensors`` and so on, and the checkpoints of the fold
            that is under way.

    Raises:
        UserError: ``run_dir`` holds answers to other questions.
    """
    sessions, kept = training_sessions(train, config.max_length)
    questions = sessions.lengths - 1
    of_session = np.repeat(np.arange(len(sessions)), questions)
    best = min(teacher.best, n_items)
    rows = np.zeros((int(questions.sum()), best), np.int32)
    probabilities = np.zeros(rows.shape, np.float32)
    deterministic = True
    fingerprint = _fingerprint(train, n_items, config, teacher)
    fold = np.random.default_rng(config.seed).permutation(len(train)) % teacher.folds
    for k in range(teacher.folds):
        mine, others = fold[kept] == k, train.take(np.flatnonzero(fold != k))
        # Nothing to ask, or nothing that a teacher could learn: the clicks alone are left.
        if not mine.any() or not (others.lengths >= 2).any():
            continue
        name = f"{k + 1}-of-{teacher.folds}"
        path, place = run_dir / f"answers-{name}.safetensors", run_dir / f"fold-{name}"
        answers = _kept(path, fingerprint)
        if answers is None:
            if console is not None:
                console.print(
                    f"teacher {k + 1} of {teacher.folds}: {teacher.kind} on {len(others)} sessions",
                    markup=False,
                    highlight=False,
                )
            contexts, _ = prefixes(sessions.take(np.flatnonzero(mine)), config.max_length)
            answers = _answers(fit_teacher(others, place), contexts, best, console)
            _keep(answers, path, fingerprint)
        shutil.rmtree(place, ignore_errors=True)
        asked = mine[of_session]
        rows[asked], probabilities[asked] = answers.rows, answers.probabilities
        deterministic &= answers.deterministic
    answers = Answers(rows, probabilities, deterministic)
    return SoftTargets(answers, sessions.lengths, teacher.share)


def _answers(fitted: Fitted, contexts: Ragged, best: int, console: Console | None) -> Answers:
    model = fitted.predictor
    rows = np.zeros((len(contexts), best), np.int32)
    probabilities = np.zeros(rows.shape, np.float32)
    bar = (
        nullcontext(lambda steps: None)
        if console is None
        else progress_bar("the teacher answers", len(contexts))
    )
    with bar as advance:
        for begin in range(0, len(contexts), MICRO_BATCH):
            which = np.arange(begin, min(begin + MICRO_BATCH, len(contexts)))
            found, scores = model.top_k(contexts.take(which), best)
            weights = np.exp(scores - scores[:, :1]) if model.logits else np.maximum(scores, 0)
            total = weights.sum(axis=1, keepdims=True)
            rows[which] = found
            probabilities[which] = np.divide(
                weights, total, out=np.zeros_like(weights), where=total > 0
            )
            advance(len(which))
    return Answers(rows, probabilities, bool(fitted.record.get("deterministic", True)))


def _keep(answers: Answers, path: Path, fingerprint: str) -> None:
    arrays = {"rows": answers.rows, "probabilities": answers.probabilities}
    about = {"fingerprint": fingerprint, "deterministic": str(answers.deterministic)}
    write_file(path, save(arrays, about))


def _kept(path: Path, fingerprint: str) -> Answers | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, "numpy") as file:
            about = file.metadata() or {}
            rows, probabilities = file.get_tensor("rows"), file.get_tensor("probabilities")
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): delete it, and train again") from None
    if about.get("fingerprint") != fingerprint:
        raise UserError(
            f"{path} holds a teacher's answers to other questions (other data or settings): "
            "choose another run directory, or delete this one to start anew"
        )
    return Answers(rows, probabilities, about["deterministic"] == str(True))


def _fingerprint(
    train: Ragged, n_items: int, config: SequenceTrainingConfig, teacher: TeacherConfig
) -> str:
    """sha256 of everything that decides the answers; how much they weigh is not among it."""
    asks = f"{n_items} {config.max_length} {config.seed}"
    return fingerprint_of(f"{asks} {teacher.model_dump_json(exclude={'share'})}", train)
