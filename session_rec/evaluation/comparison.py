"""What a comparison of two models found, as numbers, as a frame and in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from session_rec.evaluation.protocol import Protocol

if TYPE_CHECKING:
    import pandas as pd


class Difference(msgspec.Struct, frozen=True):
    """One metric of model B less that of model A.

    Attributes:
        metric: such as ``hr@20``.
        a, b: the metric of each, a fraction.
        difference: ``b - a``.
        low, high: interval of the difference.
        p: two-sided p-value of the sign-flip test over sessions.
        p_adjusted: the same, after Holm's correction where several models are compared.
        exact: whether ``p`` counts all sign flips rather than a sample.
        wins, losses, ties: sessions in which B has more, less, or the same as A.

    >>> d = Difference("hr@20", 0.5, 0.6, 0.1, 0.02, 0.18, 0.01, 0.01, False, 9, 4, 37)
    >>> d.excludes_zero
    True
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    exact: bool
    wins: int
    losses: int
    ties: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval of the difference leaves 0 out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """Model B against model A on the same questions.

    Attributes:
        a, b: their names.
        protocol: how A was measured; B was measured alike but for ``unlike``.
        unlike: fields of the protocol that differ, with the value of A and of B: none, or what
            was ranked where the caller allowed that.
        differences: one per metric.
        level: of the intervals.
        resamples, seed: of intervals and tests.
        comparisons: how many models were compared with A at once; the p-values are adjusted for
            that many.

    >>> from session_rec.toy import toy_comparison
    >>> for sentence in toy_comparison().sentences():
    ...     print(sentence)
    B finds 100.00 points more of the next items in its first 1 than A (100.00 against 0.00;
    95 % interval +100.00 to +100.00, p = 0.5):
    the interval excludes 0, but the test does not rule out chance.
    """

    a: str
    b: str
    protocol: Protocol
    unlike: dict[str, tuple[Any, Any]]
    differences: tuple[Difference, ...]
    level: float
    resamples: int
    seed: int
    comparisons: int = 1

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON-able values."""
        return {
            "a": self.a,
            "b": self.b,
            "differences": [msgspec.structs.asdict(d) for d in self.differences],
            "method": {
                "interval": f"{100 * self.level:g} %, percentile, sessions resampled",
                "test": "two-sided, signs of sessions flipped, p = (1 + hits) / (1 + resamples), "
                "or over all flips where exact",
                "adjustment": f"Holm over {self.comparisons} models",
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "unlike": {k: list(v) for k, v in self.unlike.items()},
            "protocol": self.protocol.to_dict(),
        }

    def to_pandas(self) -> pd.DataFrame:
        """A row per metric: ``model_a``, ``model_b`` and the fields of :class:`Difference`.

        Needs pandas, which is not part of the base install.
        """
        import pandas as pd

        return pd.DataFrame(
            [
                {"model_a": self.a, "model_b": self.b} | msgspec.structs.asdict(d)
                for d in self.differences
            ]
        )

    def sentences(self) -> list[str]:
        """What was found, a sentence for each metric, in plain words."""
        return [self._sentence(d) for d in self.differences]

    def _sentence(self, d: Difference) -> str:
        name, k = d.metric.split("@")
        points = f"{abs(100 * d.difference):.2f} points"
        if d.wins == d.losses == 0:
            return f"{self.a} and {self.b} have the same {d.metric.upper()} in every session."
        more = d.difference >= 0
        if name == "hr":
            found = f"finds {points} {'more' if more else 'fewer'} of the next items in its first"
            claim = f"{self.b} {found} {k} than {self.a}"
        else:
            claim = (
                f"{self.b} has {d.metric.upper()} {points} {'above' if more else 'below'} {self.a}"
            )
        adjusted = f" adjusted for {self.comparisons} models" if self.comparisons > 1 else ""
        return (
            f"{claim} ({100 * d.b:.2f} against {100 * d.a:.2f}; {100 * self.level:g} % interval "
            f"{100 * d.low:+.2f} to {100 * d.high:+.2f}, p = {d.p_adjusted:.2g}{adjusted}): "
            f"{self._verdict(d)}."
        )

    def _verdict(self, d: Difference) -> str:
        rare = d.p_adjusted < 1 - self.level
        if d.excludes_zero:
            return "the interval excludes 0" + (
                "" if rare else ", but the test does not rule out chance"
            )
        return "the interval includes 0" + (
            ", though the test finds chance unlikely"
            if rare
            else ", so these sessions do not tell the two apart"
        )
