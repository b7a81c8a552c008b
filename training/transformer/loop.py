"""The training loop: batches -> loss -> AdamW, with validation, checkpoints and resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from session_rec.errors import DataError, UserError
from session_rec.ragged import Ragged
from session_rec.recency import recency_weights
from training.fingerprint import fingerprint_of
from training.transformer import checkpoint as ckpt
from training.transformer.batches import epoch_batches, pad, training_sessions
from training.transformer.config import SequenceTrainingConfig
from training.transformer.cooccurrence import cooccurrence_vectors
from training.transformer.model import (
    ITEM_ID,
    build_model,
    item_table,
    load_weights,
    task,
    training_length,
    weights,
)
from training.transformer.optimizer import build_optimizers, clip_gradients, learning_rate
from training.transformer.reporting import Reporter
from training.transformer.runtime import StopRequest, torch_settings
from training.transformer.soft_targets import SoftTargets
from training.transformer.validation import validation_metrics
from training.transformer.warm import go_on_from
from training.warm_start import WarmStart

#: Called with the history so far (as in :class:`TrainedSequenceModel`).
EachEpoch = Callable[[list[dict[str, float]]], None]


@dataclass(frozen=True)
class TrainedSequenceModel:
    """A trained ``transformers4rec.torch.Model``.

    Attributes:
        model: the model in evaluation mode, with the weights of the best epoch.
        history: per epoch ``epoch``, ``loss`` and, with validation, ``mrr20`` and ``hr20``
            (0..1); no clock in it, so the same training leaves the same record.
        config: what it was trained with.
        n_items: N, the items of the catalog.
        seconds: wall-clock seconds of training, over all restarts.
        deterministic: the same training gives the same model.
    """

    model: Any
    history: list[dict[str, float]]
    config: SequenceTrainingConfig
    n_items: int
    seconds: float
    deterministic: bool = True


def fit(
    train: Ragged,
    valid: Ragged,
    n_items: int,
    config: SequenceTrainingConfig,
    *,
    run_dir: Path,
    progress: Console | None = None,
    start: WarmStart | None = None,
    each_epoch: EachEpoch | None = None,
    ask: Callable[[], SoftTargets] | None = None,
) -> TrainedSequenceModel:
    """Trains a model, or goes on where the newest checkpoint in ``run_dir`` stands.

    Args:
        train: sessions in chronological order.
        valid: sessions for early stopping; empty trains all epochs and keeps the last.
        n_items: N; rows are in 0..N-1.
        config: model and training.
        run_dir: gets ``checkpoints/`` and TensorBoard's event files.
        progress: where to draw a progress bar; ``None`` is silent.
        start: an earlier model whose weights are the start instead of random ones; the
            optimizer and the learning rate's course begin anew.
        each_epoch: told the history after each epoch, once its checkpoint is written; what it
            raises ends the training.
        ask: asks a teacher about ``train``. It may take hours, so it is called when ``run_dir`` and
            ``start`` are known to fit.

    Raises:
        DataError: no session of two items to learn from.
        UserError: ``run_dir`` holds a checkpoint of another run, the loss became NaN, or
            ``start`` is of a model of another shape.
        KeyboardInterrupt, SystemExit: SIGINT or SIGTERM came; a checkpoint is left behind.
    """
    with torch_settings(config.threads):
        run = TrainingRun(train, valid, n_items, config, run_dir, start)
        if ask is not None:
            run.taught = ask()
        if not run.state.done:
            with (
                StopRequest() as stop,
                Reporter(run_dir, progress, run.total_steps, run.state) as reporter,
            ):
                run.train(stop, reporter, each_epoch)
        return run.result()


class TrainingRun:
    """One training run: its data in batches, the model, the optimizer and where it stands.

    What :func:`fit` runs. ``build``, ``inputs`` and ``validate`` are the places where an experiment
    may do something else (``benchmarks/ablation.py``).
    """

    def __init__(
        self,
        train: Ragged,
        valid: Ragged,
        n_items: int,
        config: SequenceTrainingConfig,
        run_dir: Path,
        warm: WarmStart | None = None,
    ) -> None:
        #: What a teacher says of the questions of ``train``.
        self.taught: SoftTargets | None = None
        self.config, self.run_dir, self.n_items, self.valid = config, run_dir, n_items, valid
        self.sessions, kept = training_sessions(train, config.max_length)
        if len(self.sessions) == 0:
            raise DataError(
                "no training session has two or more items, so there is no next item to learn"
            )
        self.validates = bool((valid.lengths >= 2).any())
        self.session_weights = recency_weights(
            train, config.recency_half_life_days, config.recency_half_life_sessions
        )[kept].astype(np.float32)
        self.fingerprint = _fingerprint([train, valid], n_items, config, warm)
        self.steps_per_epoch = len(self._batches(0))
        self.total_steps = self.steps_per_epoch * config.epochs
        torch.manual_seed(config.seed)
        counts = np.bincount(train.rows, minlength=n_items)
        self.model = self.build(counts)
        self.names = {p: n for n, p in self.model.named_parameters() if p.requires_grad}
        table = item_table(self.model)
        self.optimizers = build_optimizers(
            list(self.names), table.weight if table.sparse else None, config
        )
        self.state = ckpt.RunState()
        self.best: dict[str, Tensor] = {}
        directory = ckpt.newest_checkpoint(run_dir)
        if directory is not None:
            self._resume(directory)
            return
        if config.item_start == "cooccurrence":
            start = cooccurrence_vectors(train, n_items, config.d_model, config.seed)
            with torch.no_grad():
                item_table(self.model).weight[1:] = torch.from_numpy(start)
        if warm is not None:
            go_on_from(warm, self.model)

    def train(
        self, stop: StopRequest, reporter: Reporter, each_epoch: EachEpoch | None = None
    ) -> None:
        """Runs to the end of the last epoch, or until it no longer gets better."""
        first = self.state.step // self.steps_per_epoch
        # A checkpoint at the very end of an epoch may have been written before its validation.
        if self.state.step and self.state.step % self.steps_per_epoch == 0:
            first -= int(len(self.state.history) < first)
        for epoch in range(first, self.config.epochs):
            self._epoch(epoch, stop, reporter)
            if each_epoch is not None:
                each_epoch(self.state.history)
            if self.state.done:
                return

    def result(self) -> TrainedSequenceModel:
        """The model with the best epoch's weights."""
        load_weights(self.model, self.best)
        self.model.eval()
        return TrainedSequenceModel(
            self.model,
            self.state.history,
            self.config,
            self.n_items,
            self.state.seconds,
            self.taught is None or self.taught.deterministic,
        )

    def build(self, counts: NDArray[np.int64]) -> Any:
        """A fresh model; ``counts`` int64 [N] are the items' clicks in training."""
        return build_model(self.n_items, self.config, counts)

    def inputs(self, which: NDArray[np.int64]) -> Tensor:
        """int64 [B, L]: the sessions ``which`` as the model is shown them."""
        return torch.from_numpy(pad(self.sessions, which, training_length(self.config)))

    def validate(self) -> dict[str, float]:
        """``mrr20`` and ``hr20`` (0..1) of the model as it is now."""
        return validation_metrics(self.model, self.valid, self.config)

    def _epoch(self, epoch: int, stop: StopRequest, reporter: Reporter) -> None:
        state = self.state
        batches = self._batches(epoch)
        done = state.step - epoch * self.steps_per_epoch
        saved_at = clock = time.monotonic()
        for which in batches[done:]:
            loss = self._step(which)
            if not math.isfinite(loss):
                raise UserError(
                    f"the loss became {loss} at step {state.step}: "
                    "lower learning_rate or raise temperature, and train anew"
                )
            state.step += 1
            state.epoch_loss += loss
            now = time.monotonic()
            state.seconds += now - clock
            clock = now
            items = int(self.sessions.lengths[which].sum())
            reporter.step(state.step, epoch, loss, items, self._rate(state.step - 1))
            if stop.requested or now - saved_at > self.config.checkpoint_minutes * 60:
                self._save()
                stop.obey()
                saved_at = clock = time.monotonic()
        self._end_epoch(epoch, clock, reporter)
        self._save()
        stop.obey()

    def _end_epoch(self, epoch: int, clock: float, reporter: Reporter) -> None:
        state, config = self.state, self.config
        record = {"epoch": float(epoch), "loss": state.epoch_loss / self.steps_per_epoch}
        state.epoch_loss = 0.0
        if self.validates:
            record |= self.validate()
        # Without validation sessions the last epoch is the best one known.
        if not self.validates or record["mrr20"] > state.best_mrr:
            state.best_mrr, state.best_epoch = record.get("mrr20", 0.0), epoch
            self.best = {name: tensor.clone() for name, tensor in weights(self.model).items()}
        state.done = epoch + 1 == config.epochs or epoch - state.best_epoch >= config.patience
        state.seconds += time.monotonic() - clock
        state.history.append(record)
        reporter.epoch(state.step, record, state.seconds)

    def _step(self, which: NDArray[np.int64]) -> float:
        state, config = self.state, self.config
        # Dropout, negatives and masks follow from (seed, step) alone: a resumed run draws what
        # the uninterrupted one would have drawn.
        drawn = np.random.SeedSequence([config.seed, state.step]).generate_state(1)
        torch.manual_seed(int(drawn[0]))
        ids = self.inputs(which)
        scoring = task(self.model)
        scoring.taught = None if self.taught is None else self.taught.batch(which)
        self.model.train()
        output = self.model(
            {ITEM_ID: ids}, targets=torch.from_numpy(self.session_weights[which]), training=True
        )
        scoring.taught = None
        output["loss"].backward()
        clip_gradients(list(self.names), config.clip_norm)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self._rate(state.step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(output["loss"].detach())

    def _rate(self, step: int) -> float:
        return learning_rate(step, self.total_steps, self.config)

    def _batches(self, epoch: int) -> list[NDArray[np.int64]]:
        return epoch_batches(self.sessions.lengths, self.config.batch_size, self.config.seed, epoch)

    def _save(self) -> None:
        ckpt.save_checkpoint(
            self.run_dir,
            self.fingerprint,
            self.state,
            weights(self.model),
            self.best,
            ckpt.optimizer_tensors(self.optimizers, self.names),
        )

    def _resume(self, directory: Path) -> None:
        self.state, saved, self.best, moments = ckpt.load_checkpoint(directory, self.fingerprint)
        load_weights(self.model, saved)
        ckpt.restore_optimizers(self.optimizers, moments, self.names)


def _fingerprint(
    data: list[Ragged], n_items: int, config: SequenceTrainingConfig, warm: WarmStart | None
) -> str:
    """sha256 of everything that decides the weights: a checkpoint of another run is refused."""
    # How often checkpoints are written decides nothing.
    settings = config.model_dump_json(exclude={"checkpoint_minutes"})
    return fingerprint_of(
        f"{n_items} {settings}", *data, more="" if warm is None else warm.fingerprint
    )
