"""Averages over rolling windows: of the windows' figures, as the paper, and of all questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from session_rec.errors import DataError
from session_rec.evaluation.metrics import CUTOFFS, gains
from session_rec.evaluation.table import percent, with_interval
from session_rec.sessions import SessionRules
from training.rolling.config import RollingConfig, RollingModel
from training.rolling.windows import RollingLog

_RESAMPLES = 1000
#: More windows than these are left to the JSON file.
_SHOWN_WINDOWS = 31
#: Fields of a window's protocol that hold for all windows.
_SHARED = ("rules", "min_prefix", "positions", "candidates", "ties", "unknown_targets")


@dataclass(frozen=True)
class Average:
    """Metrics over several windows, as fractions, with 95 % intervals."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "metrics": self.metrics,
            "intervals": {k: list(v) for k, v in self.intervals.items()},
        }


@dataclass(frozen=True)
class ModelFigures:
    """What one model reached.

    Attributes:
        model: its name.
        settings: kind, warm start, history and the kind's settings, JSON-able.
        windows: per scored window what :meth:`training.rolling.chain.Chain.score` gave, without
            single ranks and seconds; one without questions has no ``evaluation``.
        mean: the mean over the windows that have questions, each window counting alike.
        deviation: standard deviation of each metric over these windows; 0 for a single one.
        pooled: the mean over all questions of all windows.
        train_seconds, score_seconds: wall-clock seconds over all windows.
    """

    model: str
    settings: dict[str, Any]
    windows: list[dict[str, Any]]
    mean: Average
    deviation: dict[str, float]
    pooled: Average
    train_seconds: float
    score_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; without seconds, so that the same run gives the same bytes."""
        return {
            "model": self.model,
            **self.settings,
            "mean_of_windows": self.mean.to_dict() | {"standard_deviation": self.deviation},
            "pooled": self.pooled.to_dict(),
            "windows": self.windows,
        }


def model_figures(model: RollingModel, records: Sequence[dict[str, Any]]) -> ModelFigures:
    """The averages of one model's windows.

    Raises:
        DataError: no window has a question.
    """
    asked = [r for r in records if r["questions"]]
    if not asked:
        raise DataError("no scored window has a session of two events: there is nothing to score")
    values = [gains(np.array(r["ranks"], np.int64), CUTOFFS) for r in asked]
    sessions = [np.array(r["session"], np.int64) for r in asked]
    mean, pooled = averages(values, sessions)
    by_window = {k: [float(v[k].mean()) for v in values] for k in values[0]}
    hidden = ("ranks", "session", "seconds")
    return ModelFigures(
        model.name,
        {
            "kind": model.kind,
            "warm_start": model.warm,
            "history": model.history or "all",
            "validation": model.validation,
            "settings": model.settings.model_dump(mode="json"),
        },
        [{k: v for k, v in r.items() if k not in hidden} for r in records],
        mean,
        {k: float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for k, v in by_window.items()},
        pooled,
        sum(r["seconds"]["training"] for r in records),
        sum(r["seconds"]["scoring"] for r in records),
    )


def averages(
    values: Sequence[dict[str, NDArray[np.float64]]],
    sessions: Sequence[NDArray[np.int64]],
    resamples: int = _RESAMPLES,
) -> tuple[Average, Average]:
    """The mean of the windows' means, and the mean over all questions.

    Intervals are percentiles over resamples of whole sessions within each window: they say how
    far the figure would move with other shoppers in these very windows, not with other windows.

    Args:
        values: per window and metric float64 [Q], the gain of each question.
        sessions: per window int64 [Q], which session a question is from.

    >>> day = lambda *gains: {"hr@20": np.array(gains)}
    >>> mean, pooled = averages([day(1.0), day(0.0, 0.0, 0.0)], [np.arange(1), np.arange(3)])
    >>> mean.metrics["hr@20"], pooled.metrics["hr@20"]
    (0.5, 0.25)
    """
    names = list(values[0])
    gained = [np.stack([v[n] for n in names], axis=1) for v in values]
    window_means = np.stack([g.mean(axis=0) for g in gained])
    draws = [
        _resampled(g, s, np.random.default_rng([0, w]), resamples)
        for w, (g, s) in enumerate(zip(gained, sessions, strict=True))
    ]
    mean_draws = np.mean([sums / sizes[:, None] for sums, sizes in draws], axis=0)
    pooled_draws = (
        np.sum([sums for sums, _ in draws], axis=0)
        / np.sum([sizes for _, sizes in draws], axis=0)[:, None]
    )
    return (
        _average(names, window_means.mean(axis=0), mean_draws),
        _average(names, np.concatenate(gained).mean(axis=0), pooled_draws),
    )


def _resampled(
    gained: NDArray[np.float64],
    session: NDArray[np.int64],
    rng: np.random.Generator,
    resamples: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums [R, M] of the gains and numbers [R] of questions of resampled sessions."""
    _, code = np.unique(session, return_inverse=True)
    s = int(code.max()) + 1
    size = np.bincount(code).astype(np.float64)
    sums = np.stack([np.bincount(code, weights=column) for column in gained.T], axis=1)
    out_sums, out_sizes = np.empty((resamples, sums.shape[1])), np.empty(resamples)
    for r in range(resamples):
        times = np.bincount(rng.integers(0, s, s), minlength=s).astype(np.float64)
        out_sums[r], out_sizes[r] = times @ sums, times @ size
    return out_sums, out_sizes


def _average(names: list[str], means: NDArray[np.float64], draws: NDArray[np.float64]) -> Average:
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return Average(
        dict(zip(names, means.tolist(), strict=True)),
        {n: (float(low[i]), float(high[i])) for i, n in enumerate(names)},
    )


@dataclass(frozen=True)
class RollingReport:
    """All models under one protocol.

    Attributes:
        protocol: JSON-able: data, windows, and how each was scored.
        models: one per model, in the order asked for.
    """

    protocol: dict[str, Any]
    models: list[ModelFigures]

    @classmethod
    def of(
        cls,
        data: RollingLog,
        scored: range,
        fingerprint: str,
        rules: SessionRules,
        config: RollingConfig,
        models: list[ModelFigures],
    ) -> RollingReport:
        """The report of ``models`` over the windows ``scored`` of a log named ``fingerprint``."""
        first = next(w for w in models[0].windows if w["questions"])
        shared = first["evaluation"]["protocol"]
        counted = [w["evaluation"]["protocol"] for w in models[0].windows if w["questions"]]
        protocol = {
            "data": fingerprint,
            "split": (
                f"rolling windows of {data.length}: each is scored by the model trained up to the "
                "window before it"
            ),
            "window_of_a_session": "where it ends"
            + ("" if data.length.sessions else "; windows begin at midnight UTC or count from it"),
            "first_scored": data.windows[scored[0]].name,
            "last_scored": data.windows[scored[-1]].name,
            "windows": len(counted),
            "windows_without_questions": len(scored) - len(counted),
            "empty_windows_skipped": data.empty,
            "burn_in": config.burn_in,
            "repeats_collapsed": config.collapse_repeats,
            "items": "all that were seen up to the newest window trained on",
            "questions": sum(p["questions"] for p in counted),
            "sessions": sum(p["sessions"] for p in counted),
            **{name: shared[name] for name in _SHARED},
            "interval": f"95 %, percentile, {_RESAMPLES} resamples of sessions within each window, "
            "seed 0",
        }
        assert protocol["rules"] == rules.to_dict()
        return cls(protocol, models)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {"protocol": self.protocol, "models": [m.to_dict() for m in self.models]}

    def tables(self) -> list[Table]:
        """What a person is shown: the averages, and the single windows unless they are many."""
        many = len(self.models[0].windows) > _SHOWN_WINDOWS
        return [self._averages()] if many else [self._by_window(), self._averages()]

    def _averages(self) -> Table:
        """One line per model. 80 columns are all that a terminal may have."""
        table = Table(
            title=f"Mean of {self.protocol['windows']} windows, percent",
            caption=escape(self.caption()),
            box=SIMPLE_HEAD,
        )
        table.add_column("model", no_wrap=True)
        for name in ("HR@20", "MRR@20", "NDCG@20", "pooled", "s"):
            table.add_column(name, justify="right", no_wrap=True)
        for m in self.models:
            mean = m.mean
            table.add_row(
                escape(m.model),
                *(
                    with_interval(mean.metrics[k], mean.intervals[k])
                    for k in ("hr@20", "mrr@20", "ndcg@20")
                ),
                percent(m.pooled.metrics["hr@20"]),
                f"{m.train_seconds:.0f}",
            )
        return table

    def _by_window(self) -> Table:
        """HR@20 per window, one column per model."""
        table = Table(title="HR@20 by window, percent", box=SIMPLE_HEAD)
        table.add_column("window", no_wrap=True)
        table.add_column("questions", justify="right", no_wrap=True)
        for m in self.models:
            table.add_column(escape(m.model), justify="right")
        for row in zip(*(m.windows for m in self.models), strict=True):
            figures = [
                percent(w["evaluation"]["metrics"]["hr@20"]) if w["questions"] else "-" for w in row
            ]
            table.add_row(escape(str(row[0]["window"])), f"{row[0]['questions']:,}", *figures)
        return table

    def caption(self) -> str:
        """The protocol in a few lines."""
        p = self.protocol
        rules = ", ".join(f"{k} {v}" for k, v in p["rules"].items())
        return (
            f"{p['questions']:,} questions in {p['sessions']:,} sessions ({p['data'][:12]}), "
            f"{p['first_scored']} to {p['last_scored']}; {p['split']}; a session is of the window "
            f"{p['window_of_a_session']}; {p['positions']}; {p['candidates']}: "
            f"{p['items']}; ties {p['ties']}; unknown target {p['unknown_targets']}. Rules: "
            f"{rules}; min_prefix {p['min_prefix']}; repeats "
            f"{'collapsed' if p['repeats_collapsed'] else 'kept'}. ± half the interval: "
            f"{p['interval']}. pooled: HR@20 over all questions; s: seconds of training and its "
            "leakage check."
        )
