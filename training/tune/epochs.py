"""What a search makes of a training's epochs: it stops those that fall behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import optuna

from training.tune.config import Metric, value_of


class OutOfTime(Exception):
    """The minutes of a model are over in the middle of a trial, which is not counted."""


class EpochWatch:
    """Tells Optuna how good a training is at the first three quarters of its epochs.

    Quarters, not epochs: the learning rate rises and falls over all epochs of a trial, so the
    fourth epoch of 4 does not compare with the fourth of 16.

    Args:
        trial: the trial.
        epochs: of the trial.
        metric: what trials are compared by.
        prune: whether it may be stopped.
        deadline: of :func:`time.monotonic`; None: it may take as long as it needs.
        say: told in words where the training stands.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        epochs: int,
        metric: Metric,
        *,
        prune: bool,
        deadline: float | None,
        say: Callable[[str], None],
    ) -> None:
        self._trial, self._epochs, self._metric = trial, epochs, metric
        self._prune, self._deadline, self._say = prune, deadline, say
        self._quarter = 0

    def __call__(self, history: Sequence[Mapping[str, float]]) -> None:
        """An epoch is over.

        Args:
            history: all epochs so far.

        Raises:
            optuna.TrialPruned: the training has fallen behind.
            OutOfTime: the time is over.
        """
        self.catch_up(history)
        done = len(history)
        self._say(f"epoch {done} of {self._epochs}")
        over = self._deadline is not None and time.monotonic() > self._deadline
        if over and done < self._epochs:
            raise OutOfTime

    def catch_up(self, history: Sequence[Mapping[str, float]]) -> None:
        """Tells of the epochs that were not told yet.

        Raises:
            optuna.TrialPruned: the training has fallen behind.
        """
        for record in history:
            done = int(record["epoch"]) + 1
            if "mrr20" not in record:
                continue
            value = value_of(self._metric, record["hr20"], record["mrr20"])
            for quarter in range(self._quarter + 1, 4):
                if done * 4 >= quarter * self._epochs:
                    self._trial.report(value, quarter)
                    self._quarter = quarter
                    if self._prune and self._trial.should_prune():
                        raise optuna.TrialPruned(
                            f"stopped after epoch {done} of {self._epochs}: below the median of "
                            "the trials before it"
                        )
