"""What training sessions say of a candidate beside the newest items, to the network that ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.dot_products import vector_lengths
from session_rec.predictors.item_facts import POPULARITY_HALF_LIVES, ItemFacts

#: Newest items of the context that a candidate is compared with one by one.
_NEWEST = 3
_PAIR_FEATURES = ("log_follows", "log_share_follows", "log_near", "cosine")

FACT_FEATURES = (
    *(f"recent_popularity_{share:g}" for share in POPULARITY_HALF_LIVES),
    "popularity_trend",
    "log_age",
    *(f"{name}_of_newest_{place}" for place in range(_NEWEST) for name in _PAIR_FEATURES),
    "largest_cosine",
    "mean_cosine",
)

#: Added to counts before the logarithm: less than any pair that was seen.
_UNSEEN = 0.02


class ItemVectors:
    """Cosines between items; all 0 where there are no vectors.

    Args:
        vectors: float32 [N, d], or None.

    >>> ItemVectors(np.eye(2, dtype=np.float32) * 3).cosines(np.array([0, 1]), 1).tolist()
    [0.0, 1.0]
    """

    def __init__(self, vectors: NDArray[np.float32] | None) -> None:
        self._vectors = vectors
        if vectors is not None:
            self._lengths = np.maximum(vector_lengths(vectors), np.float32(1e-12))[:, None]

    def directions(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:  # type: ignore[type-arg]
        """float32 [C, d]: the vectors of ``rows``, of length 1."""
        if self._vectors is None:
            return np.zeros((len(rows), 1), np.float32)
        directions: NDArray[np.float32] = self._vectors[rows] / self._lengths[rows]
        return directions

    def cosines(self, rows: NDArray[np.integer], item: int) -> NDArray[np.float64]:  # type: ignore[type-arg]
        """float64 [C]: of each of ``rows`` with ``item``."""
        return _products(self.directions(rows), self.directions(np.array([item]))[0])


def fact_features(
    rows: NDArray[np.int64],
    context: NDArray[np.int32],
    facts: ItemFacts,
    vectors: ItemVectors,
) -> list[NDArray[np.float64]]:
    """The columns :data:`FACT_FEATURES`, each float64 [C].

    Args:
        rows: int64 [C], the candidates.
        context: int32 [L], the known items, newest last.
        facts: what training says of each item.
        vectors: a vector of each item.

    >>> from session_rec.ragged import Ragged
    >>> facts = ItemFacts.fit(Ragged.from_lists([[0, 1], [0, 1]]), n_items=2)
    >>> columns = fact_features(np.array([1]), np.array([0]), facts, ItemVectors(None))
    >>> len(columns) == len(FACT_FEATURES)
    True
    """
    popular = facts.log_popularity[rows].astype(np.float64)
    recent = facts.recent[rows].astype(np.float64)
    columns = [column / 8 for column in recent.T]
    columns.append((recent[:, 0] - popular) / 8)
    columns.append(np.log(facts.age[rows].astype(np.float64) + 1e-3) / 4)
    directions = vectors.directions(rows)
    of_context = vectors.directions(context)
    newest = context[::-1][:_NEWEST].tolist()
    volume = facts.volume[rows].astype(np.float64)
    cosines = []
    for place, item in enumerate(newest):
        follows, near = facts.follows(item, rows), facts.near(item, rows)
        own = float(facts.volume[item])
        cosines.append(_products(directions, of_context[len(context) - 1 - place]))
        columns += [
            np.log1p(follows) / 3,
            np.log((follows + _UNSEEN) / own) / 4,
            np.log((near + _UNSEEN) / np.sqrt(own * volume)) / 4,
            cosines[-1],
        ]
    zeros = np.zeros(len(rows))
    for _ in range(len(newest), _NEWEST):
        columns += [zeros, zeros - 2, zeros - 2, zeros]
    if cosines:
        mean = of_context.sum(axis=0) / np.float32(len(context))
        columns += [np.max(cosines, axis=0), _products(directions, mean)]
    else:
        columns += [zeros, zeros]
    return columns


def _products(lines: NDArray[np.float32], vector: NDArray[np.float32]) -> NDArray[np.float64]:
    """Summed by numpy, not by BLAS, whose last bits depend on where an array lies."""
    products: NDArray[np.float64] = (lines * vector).sum(axis=1).astype(np.float64)
    return products
