"""Runs the trials of one model until its budget is used up."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
from rich.console import Console
from rich.progress import Progress

from session_rec.errors import UserError
from training.fitters import Fitted
from training.tune.config import TuneConfig, value_of
from training.tune.data import TuneData
from training.tune.epochs import EpochWatch, OutOfTime
from training.tune.report import changes
from training.tune.space import Value
from training.tune.study import Study, Trial
from training.tune.trial import score_settings
from training.two_stage.known_parts import KnownParts


class Runner:
    """The trials of one model.

    Args:
        study: where they are kept.
        data: what they are trained and scored on.
        config: budget, metric and pruning.
        directory: for the checkpoints of a trial, until it is over.
        console: gets a line per trial; None is silent.
        bars: gets a bar.
    """

    def __init__(
        self,
        study: Study,
        data: TuneData,
        config: TuneConfig,
        directory: Path,
        console: Console | None,
        bars: Progress,
    ) -> None:
        self._study, self._search = study, study.search
        self._data, self._config, self._directory = data, config, directory
        self._console, self._bars = console, bars
        self._parts = KnownParts()
        # Where there is nothing to set, a second trial would be the first again.
        self._budget = config.trials if self._search.space else 1
        self._task = bars.add_task(self._search.name, total=self._budget)

    def trials(self) -> Iterator[Trial]:
        """Runs one trial after the other; each is yielded once it is over and kept."""
        over = self._study.trials
        self._bars.update(self._task, completed=len(over))
        while len(over) < self._budget:
            left = self._seconds_left(over)
            if left is not None and left <= 0:
                return
            if not self._run(len(over) + 1, left):
                return
            over = self._study.trials
            self._log(over)
            self._bars.update(self._task, completed=len(over), description=self._search.name)
            yield over[-1]

    def _seconds_left(self, over: list[Trial]) -> float | None:
        """None: as long as it takes. The first trial always ends: it is what the others beat."""
        if self._config.minutes is None or not over:
            return None
        return self._config.minutes * 60 - sum(t.seconds for t in over)

    def _run(self, number: int, left: float | None) -> bool:
        """Runs a trial; False where the time was over before it was."""
        trial, values = self._study.ask()
        same = self._study.same_as(values)
        if same is not None and same.score is not None:
            self._study.done(trial, same.score, same.figures, 0.0)
            return True
        place = self._directory / f"{self._search.name}-{number}"
        begin = time.monotonic()

        def seconds() -> float:
            return round(time.monotonic() - begin, 2)

        try:
            hr20, mrr20 = self._score(trial, values, number, place, left)
        except optuna.TrialPruned as e:
            self._study.ended(trial, "pruned", str(e), seconds())
        except OutOfTime:
            # Left as a killed process would leave it: with more minutes it is taken up again.
            return False
        except (UserError, MemoryError) as e:
            self._study.ended(trial, "failed", str(e) or "not enough memory", seconds())
        else:
            figures = {"hr@20": hr20, "mrr@20": mrr20}
            score = value_of(self._config.metric, hr20, mrr20)
            self._study.done(trial, score, figures, seconds())
        shutil.rmtree(place, ignore_errors=True)
        return True

    def _score(
        self,
        trial: optuna.Trial,
        values: dict[str, Value],
        number: int,
        place: Path,
        left: float | None,
    ) -> tuple[float, float]:
        settings = self._search.settings(values)
        watch = EpochWatch(
            trial,
            getattr(settings, "epochs", 1),
            self._config.metric,
            prune=self._config.prune,
            deadline=None if left is None else time.monotonic() + left,
            say=self._sayer(number),
        )

        def ended(fitted: Fitted) -> None:
            # A training that had ended before its process was killed told its epochs to nobody.
            watch.catch_up(fitted.record.get("history", ()))

        return score_settings(
            self._search.kind,
            settings,
            self._data.slices,
            place,
            each_epoch=watch,
            ended=ended,
            parts=self._parts,
        )

    def _sayer(self, number: int) -> Callable[[str], None]:
        def say(text: str) -> None:
            self._bars.update(
                self._task, description=f"{self._search.name}, trial {number}, {text}"
            )

        return say

    def _log(self, over: list[Trial]) -> None:
        if self._console is None:
            return
        trial, best = over[-1], self._study.best
        came = f"{trial.state}: {trial.reason}"
        if trial.score is not None:
            figures = (f"{n.upper()} {100 * v:.2f}" for n, v in trial.figures.items())
            came = ", ".join(figures)
            if best is not None and best.number != trial.number:
                came += f" (best so far: trial {best.number})"
        self._console.print(
            f"{self._search.name} {trial.number} of {self._budget}: {came}; "
            f"{trial.seconds:.1f} s; {changes(self._search, trial.values)}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
