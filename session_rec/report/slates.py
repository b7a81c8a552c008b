"""What slates are made of: how few items take how many slots, and how popular those are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from session_rec.catalog import Catalog
from session_rec.evaluation.outcomes import Outcomes, popularity_ranks
from session_rec.report.rows import Concentration, PopularityShare

#: Fractions of the catalog at which a concentration curve is kept.
_FRACTIONS = (0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, *(n / 20 for n in range(2, 21)))


def shown_counts(outcomes: Outcomes) -> NDArray[np.int64]:
    """int64 [N], rising: how often each item of the catalog was shown, 0 for many perhaps.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> shown_counts(toy_outcomes(toy_recommender("pear plum fig"), "pear plum fig"))
    array([2, 2, 2])
    """
    counts = np.bincount(outcomes.slate[outcomes.slate >= 0])
    shown = counts[counts > 0]
    padding = np.zeros(outcomes.header.protocol.items - len(shown), np.int64)
    return np.concatenate((padding, np.sort(shown)))


def gini(counts: NDArray[np.integer[Any]]) -> float:
    """Gini coefficient of [N] counts in rising order: 0 all alike, near 1 one takes all.

    >>> gini(np.array([2, 2, 2])), round(gini(np.array([0, 0, 0, 5])), 2)
    (0.0, 0.75)
    """
    n, total = len(counts), int(counts.sum())
    if total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ counts / (n * total))


def concentration(model: str, counts: NDArray[np.integer[Any]]) -> list[Concentration]:
    """The curve of :class:`Concentration`, from counts in rising order.

    >>> curve = concentration("mine", np.array([0, 0, 1, 3]))
    >>> [(point.items, point.slots) for point in curve if point.items in (0, 0.25, 0.5)]
    [(0, 0.0), (0.25, 0.75), (0.5, 1.0)]
    """
    taken = np.concatenate(([0], np.cumsum(counts[::-1]))) / max(int(counts.sum()), 1)
    at = np.linspace(0, 1, len(taken))
    return [Concentration(model, f, float(np.interp(f, at, taken))) for f in _FRACTIONS]


def popularity_shares(model: str, outcomes: Outcomes, catalog: Catalog) -> list[PopularityShare]:
    """Slots and targets by decile of the catalog's items in the order of training clicks.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> model = toy_recommender("pear plum pear")
    >>> shares = popularity_shares("mine", toy_outcomes(model, "plum pear"), model.catalog)
    >>> [(s.decile, s.slots, s.targets) for s in shares if s.slots]
    [(5, 0.5, 1.0), (10, 0.5, 0.0)]
    """
    ranks, n = popularity_ranks(catalog), len(catalog)
    rows = catalog.rows(outcomes.item_ids)
    decile = np.where(rows >= 0, (10 * ranks[rows] + n - 1) // n, 0)
    slots = np.bincount(decile[outcomes.slate[outcomes.slate >= 0]], minlength=11)[1:]
    targets = np.bincount(decile[outcomes.target], minlength=11)[1:]
    return [
        PopularityShare(
            model, d + 1,
            float(slots[d] / max(slots.sum(), 1)), float(targets[d] / max(targets.sum(), 1)),
        )
        for d in range(10)
    ]  # fmt: skip
