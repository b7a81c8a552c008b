"""What an experiment says so far: hit rates by arm, and which arm is ahead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from session_rec.evaluation.arm_difference import ArmDifference, arm_difference, drawn_share
from session_rec.experiment_arms import ARMS, CHALLENGER, Arm
from streaming.slate_joins import REASONS, ArmedSession, SlateJoins

METHOD = (
    "confidence sequence for the difference of session means, by the draw of sessions: Howard, "
    "Ramdas, McAuliffe and Sekhon 2021, Annals of Statistics 49(2)"
)
#: Of the checks that the draw is what it should be.
DRAW_ALPHA = 0.001


@dataclass(frozen=True)
class ArmFigures:
    """One arm, over its complete sessions.

    Attributes:
        sessions: that had a slate, and whose window is over.
        compared: of these, those with a click that was compared with a slate: the test's units.
        open: whose window is not over yet; not in any other number but ``models``.
        slates: of ``sessions``.
        joined: of these, those that a click was compared with.
        not_joined: the others, by reason.
        fallbacks: popular slates.
        models: slates by the model that gave them.
        metrics: per metric the mean over ``compared`` of the session's mean.
        per_slate: per metric the mean over ``joined``.
    """

    sessions: int
    compared: int
    open: int
    slates: int
    joined: int
    not_joined: dict[str, int]
    fallbacks: int
    models: dict[str, int]
    metrics: dict[str, float]
    per_slate: dict[str, float]


@dataclass(frozen=True)
class ExperimentReport:
    """An experiment so far.

    Attributes:
        experiment, share, alpha: as set.
        primary: the metric that decides.
        until: event time up to which sessions began that are looked at, milliseconds.
        arms: by name.
        differences: challenger less champion, per metric; ``primary`` is the one that decides.
        draw: of all complete sessions, the challenger's share less what was asked for.
        draw_compared: the same of the sessions that are compared.
        left_out: sessions and predictions that are in no number, by reason.
    """

    experiment: str
    share: float
    alpha: float
    primary: str
    until: int
    arms: dict[Arm, ArmFigures]
    differences: dict[str, ArmDifference]
    draw: ArmDifference
    draw_compared: ArmDifference
    left_out: dict[str, int]

    @property
    def verdict(self) -> str:
        """``ahead``, ``behind`` or ``undecided``: the challenger, by the primary metric."""
        return self.differences[self.primary].verdict

    def sentence(self) -> str:
        """The verdict with its interval."""
        found = self.differences[self.primary]
        return (
            f"challenger {found.verdict}: {self.primary} {100 * found.estimate:+.2f} points, "
            f"between {100 * found.low:+.2f} and {100 * found.high:+.2f} at every look at once "
            f"({100 * (1 - self.alpha):g} %)"
        )

    def warnings(self) -> list[str]:
        """What must be known beside the verdict, a sentence each."""
        found = []
        if self.draw.verdict != "undecided":
            found.append(
                f"the draw is broken: the challenger has {self.share + self.draw.estimate:.1%} of "
                f"the sessions, {self.share:.1%} was asked for; do not believe the verdict"
            )
        elif self.draw_compared.verdict != "undecided":
            found.append(
                "the arms differ in how many sessions go on to a click that can be compared "
                f"({self.share + self.draw_compared.estimate:.1%} of them are the challenger's): "
                "hit rates are of unlike sessions"
            )
        both = set.intersection(*(set(a.models) for a in self.arms.values()))
        for model in sorted(both):
            slates = self.arms[CHALLENGER].models[model]
            found.append(f"model {model} gave slates in both arms, {slates} in the challenger's")
        if self.left_out["both arms"]:
            found.append(
                f"{self.left_out['both arms']} sessions had slates of both arms and are left out: "
                "share or salt were changed under the same name"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """The report for machines; rates are fractions."""
        differences = {
            name: {**asdict(d), "verdict": d.verdict} for name, d in self.differences.items()
        }
        return {
            **asdict(self),
            "differences": differences,
            "verdict": self.verdict,
            "warnings": self.warnings(),
            "method": METHOD,
        }


def summarise(
    joins: SlateJoins,
    erased: int,
    *,
    experiment: str,
    share: float,
    cutoffs: Sequence[int],
    until: int,
    alpha: float,
) -> ExperimentReport:
    """The report over the sessions whose window ended by ``until``.

    Args:
        joins: what was taken.
        erased: sessions erased at their owner's wish.
        cutoffs: the ``k`` of the metrics; hits at the largest one decide.
        until: event time, milliseconds.
        alpha: how often, at most, equal arms are ever told apart.
    """
    complete = joins.complete(until)
    pure = [session for session in complete if not session.mixed]
    compared = [session for session in pure if session.ranks]
    values = {name: _means(compared, name) for name in metric_names(cutoffs)}
    challenger = np.array([s.arm == CHALLENGER for s in compared], bool)
    primary = f"hr@{max(cutoffs)}"
    return ExperimentReport(
        experiment=experiment,
        share=share,
        alpha=alpha,
        primary=primary,
        until=until,
        arms={arm: _figures(arm, joins, pure, compared, values) for arm in ARMS},
        differences={
            name: arm_difference(column, challenger, share, alpha)
            for name, column in values.items()
        },
        draw=drawn_share(np.array([s.arm == CHALLENGER for s in pure], bool), share, DRAW_ALPHA),
        draw_compared=drawn_share(challenger, share, DRAW_ALPHA),
        left_out={
            "erased": erased,
            "both arms": len(complete) - len(pure),
            "repeated predictions": joins.repeated,
            "predictions of another partition": joins.elsewhere,
        },
    )


def metric_names(cutoffs: Sequence[int]) -> list[str]:
    """Hit rates, and the reciprocal rank in the longest slate."""
    return [*(f"hr@{k}" for k in sorted(cutoffs)), f"mrr@{max(cutoffs)}"]


def _gain(name: str, rank: int) -> float:
    metric, _, k = name.partition("@")
    if not 0 < rank <= int(k):
        return 0.0
    return 1.0 if metric == "hr" else 1.0 / rank


def _means(sessions: Sequence[ArmedSession], name: str) -> NDArray[np.float64]:
    """float64 [S]: per session the mean over its clicks."""
    return np.array([sum(_gain(name, r) for r in s.ranks) / len(s.ranks) for s in sessions])


def _figures(
    arm: Arm,
    joins: SlateJoins,
    pure: Sequence[ArmedSession],
    compared: Sequence[ArmedSession],
    values: dict[str, NDArray[np.float64]],
) -> ArmFigures:
    mine = [s for s in pure if s.arm == arm]
    outcomes: Counter[str] = sum((s.outcomes for s in mine), Counter())
    here = np.array([s.arm == arm for s in compared], bool)
    ranks = [rank for s in mine for rank in s.ranks]
    in_all = sum(s.arm == arm and not s.mixed for s in joins.kept())
    return ArmFigures(
        sessions=len(mine),
        compared=int(here.sum()),
        open=in_all - len(mine),
        slates=sum(s.slates for s in mine),
        joined=outcomes["joined"],
        not_joined={reason: outcomes[reason] for reason in REASONS},
        fallbacks=sum(s.fallbacks for s in mine),
        models={m: n for (a, m), n in sorted(joins.models.items()) if a == arm},
        metrics={name: _mean(column[here]) for name, column in values.items()},
        per_slate={name: _mean(np.array([_gain(name, r) for r in ranks])) for name in values},
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
