"""One model rolled over the windows: trained up to each, started warm from the one before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console

from session_rec.bundle import CATALOG
from session_rec.catalog import Catalog
from session_rec.errors import DataError
from session_rec.evaluation.evaluate import Progress, evaluate
from session_rec.files import new_directory
from session_rec.ragged import Ragged
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules
from training.fitters import FitData, fit_model
from training.leakage.certify import FittedOn
from training.rolling.config import WARM_KINDS, RollingConfig, RollingModel
from training.rolling.plan import training_span
from training.rolling.steps import Step, key_of
from training.rolling.windows import RollingLog
from training.train import build_catalog, write_model
from training.warm_start import WarmStart

#: Opens a progress bar of so many questions.
Bar = Callable[[int], AbstractContextManager[Progress]]

#: Raise it where the same settings and data come to mean another result.
_FORMAT = 1


@dataclass(frozen=True)
class Chain:
    """One model over the windows of one log.

    Attributes:
        data: the windows.
        rules: what makes a session.
        model: what rolls.
        config: of the run.
        console: where to show how a long training goes; None is silent.
    """

    data: RollingLog
    rules: SessionRules
    model: RollingModel
    config: RollingConfig
    console: Console | None = None

    def score(self, newest: int, progress: Bar) -> dict[str, Any]:
        """What became of the questions of the window after ``newest``, by the model trained up
        to it; trains what is not there yet.

        Args:
            progress: called with the number of questions; its block gets what is called with
                each number just answered.

        Returns:
            JSON-able: ``window``, ``trained_up_to``, ``trained`` (what on), ``model`` (its
            fingerprint), ``questions``, ``seconds``; where there is a question, ``evaluation``
            (:meth:`session_rec.evaluation.evaluate.Evaluation.to_dict`), ``ranks`` and
            ``session`` of each.
        """
        step, key = self._step(newest), self._score_key(newest)
        record = step.scored(key)
        if record is None:
            self._train_up_to(newest)
            record = self._score(newest, progress)
            step.set_scored(key, record)
        return record

    def _score(self, newest: int, progress: Bar) -> dict[str, Any]:
        step, window = self._step(newest), self.data.windows[newest + 1]
        config, log = self.config, self.data.window(newest + 1)
        recommender = Recommender.load(step.model)
        trained = step.trained()
        questions = log.questions(
            recommender.catalog,
            self.rules,
            config.min_prefix,
            positions=config.positions,
            since=window.asked_since,
        )
        record: dict[str, Any] = {
            "window": window.name,
            "trained_up_to": self.data.windows[newest].name,
            "trained": {k: v for k, v in trained.items() if k != "seconds"},
            "model": recommender.fingerprint,
            "questions": len(questions),
            "seconds": {"training": trained["seconds"], "scoring": 0.0},
        }
        if len(questions) == 0:
            return record
        with progress(len(questions)) as advance:
            result = evaluate(
                recommender,
                log,
                name=self.model.name,
                split=f"window {window.name}, by the model trained up to {record['trained_up_to']}",
                rules=self.rules,
                min_prefix=config.min_prefix,
                positions=config.positions,
                since=window.asked_since,
                progress=advance,
            )
        record["seconds"]["scoring"] = result.seconds
        record["evaluation"] = result.to_dict()
        record["ranks"], record["session"] = result.ranks.tolist(), result.session.tolist()
        return record

    def _train_up_to(self, newest: int) -> None:
        """Trains the model of window ``newest``, and those that it starts from."""
        first = newest
        if self.model.warm:
            first = self.config.burn_in - 1
            for earlier in range(newest, first - 1, -1):
                if self._step(earlier).is_trained:
                    first = earlier + 1
                    break
        elif self._step(newest).is_trained:
            return
        for window in range(first, newest + 1):
            self._train(window)
            if not self.config.keep_models and window >= self.config.burn_in:
                self._step(window - 1).forget_model()

    def _train(self, newest: int) -> None:
        begin = perf_counter()
        step = self._step(newest)
        span = training_span(self.data.windows, newest, self.config.burn_in, self.model)
        log = self.data.sessions(span.first, newest, span.end)
        catalog = build_catalog(self.data.sessions(0, newest))
        train = log.training_sessions(catalog, self.rules)
        before = self._step(newest - 1) if self._starts_warm(newest) else None
        record: dict[str, Any] = {
            "sessions": len(train),
            "events": len(train.rows),
            "items": len(catalog),
            "warm_start": before is not None,
        }
        if self.model.kind in WARM_KINDS and train.lengths.max(initial=0) < 2:
            if before is None:
                raise DataError(
                    f"up to window {self.data.windows[newest].name} no session has two events, "
                    f"so {self.model.kind} has nothing to learn from: raise burn_in or history"
                )
            # Nothing to learn from: the model of the window before stays in service.
            _copy(before, step)
            record |= {"sessions": 0, "events": 0, "items": before.trained()["items"]}
        else:
            start = None if before is None else _warm_start(before, catalog)
            if start is not None:
                record["new_items"] = int(np.count_nonzero(start.rows < 0))
            held_out = None
            if span.end < span.valid_end:
                held_out = self.data.sessions(span.end, newest, span.valid_end)
            data = FitData(
                train,
                held_out.training_sessions(catalog, self.rules)
                if held_out
                else Ragged.from_lists([]),
                len(catalog),
                step.run_dir,
                self.console if self.model.kind in WARM_KINDS else None,
                start,
            )
            fitted = fit_model(self.model.kind, data, self.model.settings)
            if self.model.warm:
                step.save_weights(fitted.weights)
            # With its leakage certificate: the next window is what must not have been seen.
            write_model(
                step.model,
                catalog,
                fitted,
                self.rules,
                self.model.settings,
                log.fingerprint,
                None,
                replace=True,
                fitted_on=FittedOn(data, log, held_out, self.data.window(newest + 1)),
            )
        step.set_trained(record | {"seconds": perf_counter() - begin})

    def _starts_warm(self, newest: int) -> bool:
        return self.model.warm and newest >= self.config.burn_in

    def _step(self, newest: int) -> Step:
        window = self.data.windows[newest]
        key = key_of({**self._decides, "data": window.past})
        return Step(self.config.run_dir / self.model.name / f"{window.name}-{key}")

    def _score_key(self, newest: int) -> str:
        return key_of(
            {
                "positions": self.config.positions,
                "min_prefix": self.config.min_prefix,
                "data": self.data.windows[newest + 1].fingerprint,
            }
        )

    @cached_property
    def _decides(self) -> dict[str, Any]:
        """Every setting that decides what a model becomes, beside the data."""
        model = self.model
        decides: dict[str, Any] = {
            "format": _FORMAT,
            "kind": model.kind,
            "settings": model.settings.model_dump(mode="json", exclude={"checkpoint_minutes"}),
            "warm": model.warm,
            "history": model.history,
            "validation": model.validation,
            "window": str(self.data.length),
            "rules": self.rules.to_dict(),
        }
        # Where a cold model is first scored does not change it.
        return decides | ({"burn_in": self.config.burn_in} if model.warm else {})


def _warm_start(before: Step, catalog: Catalog) -> WarmStart:
    earlier = Catalog.from_json((before.model / CATALOG).read_bytes())
    return WarmStart(before.weights(), earlier.rows(catalog.item_ids).astype(np.int64))


def _copy(source: Step, target: Step) -> None:
    target.save_weights(source.weights())
    with new_directory(target.model, replace=True) as partial:
        shutil.copytree(source.model, partial, dirs_exist_ok=True)
