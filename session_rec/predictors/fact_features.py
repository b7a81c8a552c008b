"""What training sessions say of a candidate beside the newest items, to the network that ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.candidate_rows import CandidateRows
from session_rec.predictors.dot_products import vector_lengths
from session_rec.predictors.item_facts import POPULARITY_HALF_LIVES, ItemFacts
from session_rec.ragged import Ragged

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

    >>> vectors = ItemVectors(np.eye(2, dtype=np.float32) * 3)
    >>> vectors.along(np.array([0, 1]), vectors.directions(np.array([1]))).tolist()
    [[0.0], [1.0]]
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

    def along(
        self,
        rows: NDArray[np.integer],  # type: ignore[type-arg]
        directions: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """float64 [C, M]: how far the direction of each of ``rows`` goes along each of
        ``directions``, float32 [M, d]; their cosine where these have length 1."""
        if self._vectors is None:
            return np.zeros((len(rows), len(directions)))
        # einsum adds up in a loop of its own, always in the same order; the last bits of BLAS
        # depend on where an array lies and on the rows beside it.
        products = np.einsum("cd,md->cm", self._vectors[rows], directions)
        along: NDArray[np.float64] = (products / self._lengths[rows]).astype(np.float64)
        return along


def fact_features(
    found: CandidateRows, contexts: Ragged, facts: ItemFacts, vectors: ItemVectors
) -> list[NDArray[np.float64]]:
    """The columns :data:`FACT_FEATURES`, each float64 [C].

    Args:
        found: the candidates.
        contexts: B contexts of known items, newest last.
        facts: what training says of each item.
        vectors: a vector of each item.

    >>> facts = ItemFacts.fit(Ragged.from_lists([[0, 1], [0, 1]]), n_items=2)
    >>> found, contexts = CandidateRows.union([np.array([[1]])], 2), Ragged.from_lists([[0]])
    >>> columns = fact_features(found, contexts, facts, ItemVectors(None))
    >>> len(columns) == len(FACT_FEATURES)
    True
    """
    rows = found.rows
    popular = facts.log_popularity[rows].astype(np.float64)
    recent = facts.recent[rows].astype(np.float64)
    columns = [column / 8 for column in recent.T]
    columns.append((recent[:, 0] - popular) / 8)
    columns.append(np.log(facts.age[rows].astype(np.float64) + 1e-3) / 4)
    volume = facts.volume[rows].astype(np.float64)[:, None]
    at = contexts.offsets[1:, None] - 1 - np.arange(_NEWEST)
    there = at >= contexts.offsets[:-1, None]
    items = np.full(there.shape, -1)
    items[there] = contexts.rows[at[there]]
    follows, near = facts.follows(items, found), facts.near(items, found)
    own = facts.volume[items].astype(np.float64)[found.context]
    absent = ~there[found.context]
    of_pairs = (
        np.log1p(follows) / 3,
        np.where(absent, -2.0, np.log((follows + _UNSEEN) / own) / 4),
        np.where(absent, -2.0, np.log((near + _UNSEEN) / np.sqrt(own * volume)) / 4),
    )
    newest, largest, mean = _cosines(found, contexts, vectors)
    for place in range(_NEWEST):
        columns += [values[:, place] for values in (*of_pairs, newest)]
    return [*columns, largest, mean]


def _cosines(
    found: CandidateRows, contexts: Ragged, vectors: ItemVectors
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each candidate with the newest items, float64 [C, 3], the largest of these, and the mean
    with all items of the context, float64 [C]; 0 where there is no such item."""
    newest = np.zeros((len(found), _NEWEST))
    largest, mean = np.zeros(len(found)), np.zeros(len(found))
    # One context at a time: together the vectors of all candidates do not fit a cache.
    for b in range(len(contexts)):
        of_context = vectors.directions(contexts.sequence(b)[::-1])
        if len(of_context):
            own = found.of(b)
            of_all = of_context.sum(axis=0, keepdims=True) / np.float32(len(of_context))
            asked = np.concatenate([of_context[:_NEWEST], of_all])
            cosines = vectors.along(found.rows[own], asked)
            newest[own, : len(asked) - 1] = cosines[:, :-1]
            largest[own] = cosines[:, :-1].max(axis=1)
            mean[own] = cosines[:, -1]
    return newest, largest, mean
