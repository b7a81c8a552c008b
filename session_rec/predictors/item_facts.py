"""What training sessions say of each item, and of pairs of items, to a model that ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from session_rec.errors import BundleError
from session_rec.predictors.base import Arrays
from session_rec.predictors.item_pairs import ItemPairs, pairs_apart
from session_rec.ragged import Ragged
from session_rec.recency import recency_weights

#: After this share of all sessions a click counts half in the recent popularities.
POPULARITY_HALF_LIVES = (0.03, 0.1, 0.3)
#: The same for pairs, of which there are fewer.
_PAIR_HALF_LIFE = 0.4
#: Weight of two clicks with one between them, beside neighbouring clicks.
_ONE_BETWEEN = 0.5


@dataclass(frozen=True)
class ItemFacts:
    """Popularity, freshness, and what is clicked after or beside what.

    Ages are counted in sessions that ended later, as a share of all: they need no clock.

    Attributes:
        log_popularity: float32 [N], log(1 + training clicks).
        recent: float32 [N, 3], log(1 + clicks that age by :data:`POPULARITY_HALF_LIVES`).
        age: float32 [N] in [0, 1], of the item's newest session; 1 for an item without clicks.
        follows: ageing counts of a click on b right after one on a.
        near: ageing counts of a and b next to each other in either order, or, with half the
            weight, with one click between them.
        volume: float32 [N], 1 + the sum of all ``near`` of the item.

    >>> facts = ItemFacts.fit(Ragged.from_lists([[0, 1], [1, 2]]), n_items=4)
    >>> facts.age.tolist()
    [0.5, 0.0, 0.0, 1.0]
    >>> from session_rec.predictors.candidate_rows import CandidateRows
    >>> found = CandidateRows.union([np.array([[0, 2]])], 4)
    >>> facts.follows(np.array([[1]]), found).tolist()
    [[0.0], [1.0]]
    """

    log_popularity: NDArray[np.float32]
    recent: NDArray[np.float32]
    age: NDArray[np.float32]
    follows: ItemPairs
    near: ItemPairs
    volume: NDArray[np.float32]

    @classmethod
    def fit(cls, sessions: Ragged, n_items: int) -> Self:
        """The facts of ``sessions``."""
        rows, count = sessions.rows, len(sessions)
        session = np.repeat(np.arange(count), sessions.lengths)
        recent = [
            np.bincount(rows, _ageing(sessions, share)[session], minlength=n_items)
            for share in POPULARITY_HALF_LIVES
        ]
        age = np.ones(n_items)
        np.minimum.at(age, rows, _ages(sessions)[session])
        weight = _ageing(sessions, _PAIR_HALF_LIFE)
        item, other, paired = _pairs(sessions, session, weight, 1)
        item2, other2, paired2 = _pairs(sessions, session, weight, 2)
        sides = np.concatenate([item, item2, other, other2])
        opposite = np.concatenate([other, other2, item, item2])
        weights = np.tile(np.concatenate([paired, _ONE_BETWEEN * paired2]), 2)
        return cls(
            np.log1p(np.bincount(rows, minlength=n_items)).astype(np.float32),
            np.log1p(np.stack(recent, axis=1)).astype(np.float32),
            age.astype(np.float32),
            ItemPairs.of(item, other, paired, n_items),
            ItemPairs.of(sides, opposite, weights, n_items),
            (1 + np.bincount(sides, weights, minlength=n_items)).astype(np.float32),
        )

    @property
    def n_items(self) -> int:
        """N, the items of the catalog."""
        return len(self.log_popularity)

    def arrays(self) -> Arrays:
        """The arrays by name; those of pairs begin with the name of the pairs."""
        pairs = {"follows": self.follows, "near": self.near}
        named = {f"{n}.{key}": a for n, p in pairs.items() for key, a in p.arrays().items()}
        return {
            "log_popularity": self.log_popularity,
            "recent": self.recent,
            "age": self.age,
            "volume": self.volume,
            **named,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], n_items: int) -> Self:
        """The facts that were saved.

        Raises:
            BundleError: they are not all there, or of another number of items.
        """
        try:
            follows, near = (
                ItemPairs(*(arrays[f"{name}.{key}"] for key in ("offsets", "other", "weight")))
                for name in ("follows", "near")
            )
            items = [arrays[name] for name in ("log_popularity", "recent", "age", "volume")]
        except KeyError as e:
            raise BundleError(
                f"the model directory lacks the array {e}: it is of an earlier version, train again"
            ) from None
        sizes = {*map(len, items), len(follows.offsets) - 1, len(near.offsets) - 1}
        if sizes != {n_items}:
            raise BundleError("the model ranks another number of items: train again")
        log_popularity, recent, age, volume = items
        return cls(log_popularity, recent, age, follows, near, volume)


def _ageing(sessions: Ragged, share: float) -> NDArray[np.float64]:
    return recency_weights(sessions, half_life_sessions=share * len(sessions))


def _ages(sessions: Ragged) -> NDArray[np.float64]:
    """float64 [S]: the share of sessions that ended later."""
    ages = np.zeros(len(sessions))
    if len(sessions):
        order = np.argsort(sessions.ts[sessions.offsets[1:] - 1], kind="stable")
        ages[order] = np.arange(len(sessions))[::-1] / len(sessions)
    return ages


def _pairs(
    sessions: Ragged, session: NDArray[np.int64], weight: NDArray[np.float64], distance: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    at = pairs_apart(sessions, distance)
    return sessions.rows[at], sessions.rows[at + distance], weight[session[at]]
