"""Item-to-item rules: what followed this item within a few clicks.

Source: Kamehkhosh, Jannach and Ludewig, "A comparison of frequent pattern techniques and a deep
learning method for session-based recommendation" (2017), where they are called SR.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from session_rec.config import Config
from session_rec.predictors.base import Arrays, Files
from session_rec.predictors.evidence import EvidencePredictor
from session_rec.predictors.item_pairs import pairs_apart
from session_rec.ragged import Ragged


class SequentialRulesConfig(Config):
    """Which rules are counted, kept and used."""

    steps: int = Field(default=10, ge=1)
    """Clicks between an item and what follows it, at most; weight 1 / distance."""
    rules_per_item: int = Field(default=100, ge=1)
    """The strongest rules kept of each item; among equals those of lower rows."""
    newest_n: int = Field(default=5, ge=1)
    """Newest clicks of a context whose rules are used."""
    decay: float = Field(default=0.5, gt=0, le=1)
    """The rules of a click weigh this times those of the click after it."""


class SequentialRules(EvidencePredictor):
    """Scores items by the rules of the context's newest items.

    The weight of rule a -> b is the sum of 1 / distance over the training pairs, divided by that
    of all rules of a, so that the rules of unlike items can be added.

    Args:
        offsets: int64 [N + 1]; the rules of item a are ``offsets[a]:offsets[a + 1]``.
        follower: int32 [R], b of each rule.
        weight: float32 [R].
        count: int64 [N], training events of each item.

    >>> model = SequentialRules.fit(Ragged.from_lists([[0, 1], [0, 1], [0, 2]]), n_items=3)
    >>> model.score(Ragged.from_lists([[0]])).round(2)
    array([[-0.25,  0.67,  0.33]], dtype=float32)
    """

    kind: ClassVar[str] = "sequential-rules"

    def __init__(
        self,
        offsets: NDArray[np.int64],
        follower: NDArray[np.int32],
        weight: NDArray[np.float32],
        count: NDArray[np.int64],
        config: SequentialRulesConfig,
    ) -> None:
        super().__init__(count)
        self._offsets, self._follower, self._weight = offsets, follower, weight
        self._count = count
        self._config = config

    @classmethod
    def fit(
        cls, sessions: Ragged, n_items: int, config: SequentialRulesConfig | None = None
    ) -> Self:
        """Counts the rules of ``sessions``."""
        config = config or SequentialRulesConfig()
        pairs, weights = _pairs(sessions, n_items, config.steps)
        rule, place = np.unique(pairs, return_inverse=True)
        weight = np.bincount(place, weights, minlength=len(rule))
        item, follower = rule // n_items, rule % n_items
        total = np.bincount(item, weight, minlength=n_items)
        order = np.lexsort((follower, -weight, item))
        item, follower, weight = item[order], follower[order], weight[order]
        first = np.searchsorted(item, np.arange(n_items + 1))
        kept = np.arange(len(item)) - first[item] < config.rules_per_item
        item, follower, weight = item[kept], follower[kept], weight[kept]
        return cls(
            np.searchsorted(item, np.arange(n_items + 1)).astype(np.int64),
            follower.astype(np.int32),
            (weight / total[item]).astype(np.float32),
            np.bincount(sessions.rows, minlength=n_items),
            config,
        )

    def evidence(
        self, context: NDArray[np.int32]
    ) -> tuple[NDArray[np.integer[Any]], NDArray[np.float64]]:
        rows, weights = [], []
        for r, item in enumerate(context[::-1][: self._config.newest_n]):
            rules = slice(self._offsets[item], self._offsets[item + 1])
            rows.append(self._follower[rules])
            weights.append(self._weight[rules] * self._config.decay**r)
        found, place = np.unique(np.concatenate(rows), return_inverse=True)
        scores = np.bincount(place, np.concatenate(weights), minlength=len(found))
        return found, np.asarray(scores, np.float64)

    def config(self) -> dict[str, Any]:
        return self._config.model_dump()

    def arrays(self) -> Arrays:
        return {
            "offsets": self._offsets,
            "follower": self._follower,
            "weight": self._weight,
            "count": self._count,
        }

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays, files: Files, n_items: int) -> Self:
        return cls(
            arrays["offsets"],
            arrays["follower"],
            arrays["weight"],
            arrays["count"],
            SequentialRulesConfig(**config),
        )


def _pairs(
    sessions: Ragged, n_items: int, steps: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """``a * N + b`` of all pairs at most ``steps`` apart, int64 [P], and 1 / distance."""
    rows = sessions.rows.astype(np.int64)
    keys, weights = [], []
    for distance in range(1, min(steps, int(sessions.lengths.max(initial=1)) - 1) + 1):
        at = pairs_apart(sessions, distance)
        key = rows[at] * n_items + rows[at + distance]
        keys.append(key)
        weights.append(np.full(len(key), 1 / distance))
    if not keys:
        return np.zeros(0, np.int64), np.zeros(0)
    return np.concatenate(keys), np.concatenate(weights)
