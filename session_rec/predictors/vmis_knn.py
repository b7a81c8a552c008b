"""Session nearest neighbours on an index from items to their newest sessions.

Sources: Ludewig and Jannach, "Evaluation of session-based recommendation algorithms" (2018), for
V-SkNN; Kersbergen, Sprangers and Schelter, "Serenade: low-latency session-based recommendation in
e-commerce at scale" (SIGMOD 2022), for VMIS-kNN and its index.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from session_rec.config import Config
from session_rec.predictors.base import Arrays, Files
from session_rec.predictors.evidence import EvidencePredictor
from session_rec.predictors.session_index import SessionIndex, build_index
from session_rec.ragged import Ragged


class VmisKnnConfig(Config):
    """Which sessions are neighbours, and what their items count."""

    sessions_per_item: int = Field(default=200, ge=1)
    """m: the newest sessions kept of each item."""
    neighbours: int = Field(default=50, ge=1)
    """k: the most similar sessions that vote."""
    newest_n: int = Field(default=20, ge=1)
    """Newest clicks of a context that are read."""
    position_power: float = Field(default=1.0, ge=0)
    """Item r of a context, 0 the newest, weighs (r + 1) to minus this in the similarity."""
    match_idf_power: float = Field(default=0.5, ge=0)
    """A shared item counts log(1 + sessions / its sessions) to this in the similarity; 0: all
    alike."""
    recency_half_life_days: float = Field(default=0.0, ge=0)
    """The similarity of a session halves with this age, seen from the newest training event.
    0: off, as it must be where ``ts`` is no clock."""
    recency_half_life_sessions: float = Field(default=0.0, ge=0)
    """The same by the number of sessions that ended later, where ``ts`` orders but is no clock.
    0: off."""
    distance_scale: float = Field(default=4.0, gt=0)
    """In a neighbour, an item at a distance of d clicks from the matched one counts
    exp(-(d - 1) / this)."""
    idf_power: float = Field(default=1.0, ge=0)
    """A candidate's score is multiplied by its log(1 + sessions / its sessions) to this."""
    own_boost: float = Field(default=2.0, ge=0)
    """Item r of the context itself is multiplied by 1 + this / (r + 1)."""
    last_item_factor: float = Field(default=0.5, ge=0)
    """The newest item of the context is multiplied by this too: a repeat at once is rare."""


class VmisKnn(EvidencePredictor):
    """Scores the items of the sessions that share the context's items.

    The similarity of a session is the sum, over the distinct items that it shares with the
    context, of their position weight and idf, times the session's recency. Its items vote with
    that similarity, decayed by their distance from the newest shared item (its last occurrence
    in the session). Ties in similarity go to the newer session.

    >>> model = VmisKnn.fit(Ragged.from_lists([[0, 1], [0, 1, 2], [3]]), n_items=4)
    >>> rows, scores = model.top_k(Ragged.from_lists([[0]]), k=3)
    >>> rows
    array([[0, 1, 2]], dtype=int32)
    """

    kind: ClassVar[str] = "vmis-knn"

    def __init__(
        self, index: SessionIndex, count: NDArray[np.int64], config: VmisKnnConfig
    ) -> None:
        super().__init__(count)
        self._index = index
        self._count = count
        self._config = config
        idf = index.idf.astype(np.float64)
        self._match_idf = idf**config.match_idf_power
        self._item_idf = idf**config.idf_power
        longest = int(np.diff(index.offsets).max(initial=1))
        self._by_distance = np.exp(
            -np.maximum(np.arange(longest + 1) - 1, 0) / config.distance_scale
        )
        self._local = threading.local()

    @classmethod
    def fit(cls, sessions: Ragged, n_items: int, config: VmisKnnConfig | None = None) -> Self:
        """Indexes ``sessions``; their order in time is that of their last ``ts``."""
        config = config or VmisKnnConfig()
        index = build_index(
            sessions,
            n_items,
            config.sessions_per_item,
            config.recency_half_life_days,
            config.recency_half_life_sessions,
        )
        return cls(index, np.bincount(sessions.rows, minlength=n_items), config)

    def evidence(
        self, context: NDArray[np.int32]
    ) -> tuple[NDArray[np.integer[Any]], NDArray[np.float64]]:
        ages = _ages(context[::-1][: self._config.newest_n].tolist())
        items = np.fromiter(ages, np.int64, len(ages))
        age = np.fromiter(ages.values(), np.float64, len(ages))
        sessions, similarity, matched = self._neighbours(items, age)
        if len(sessions) == 0:
            return items[:0], age[:0]
        index = self._index
        starts = index.offsets[sessions]
        lengths = index.offsets[sessions + 1] - starts
        ends = np.cumsum(lengths)
        entry = np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1])
        distance = np.abs(entry - np.repeat(starts + matched, lengths))
        votes = np.repeat(similarity, lengths) * self._by_distance[distance]
        voted = index.rows[entry].astype(np.int64)

        score = self._scratch().score
        np.add.at(score, voted, votes)
        own = 1 + self._config.own_boost / (age + 1)
        own[0] *= self._config.last_item_factor
        score[items] *= own
        rows = np.sort(_each_once(voted, self._scratch().item_number))
        values = score[rows] * self._item_idf[rows]
        score[rows] = 0.0
        return rows, values

    def _neighbours(
        self, items: NDArray[np.int64], age: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """The k nearest sessions, their similarity, and the place of the newest shared item."""
        index, scratch = self._index, self._scratch()
        weights = (age + 1) ** -self._config.position_power * self._match_idf[items]
        first = index.item_offsets[items].tolist()
        last = index.item_offsets[items + 1].tolist()
        parts = []
        # From the oldest item to the newest, so that the newest shared one is left in `place`.
        for i in range(len(items) - 1, -1, -1):
            found = index.sessions[first[i] : last[i]].astype(np.int64)
            scratch.similarity[found] += weights[i]
            scratch.place[found] = index.places[first[i] : last[i]]
            parts.append(found)
        candidates = _each_once(np.concatenate(parts), scratch.session_number)
        similarity = scratch.similarity[candidates] * index.recency[candidates]
        scratch.similarity[candidates] = 0.0
        best = _largest(similarity, candidates, self._config.neighbours)
        sessions = candidates[best]
        return sessions, similarity[best], scratch.place[sessions]

    def _scratch(self) -> _Scratch:
        if not hasattr(self._local, "scratch"):
            self._local.scratch = _Scratch(len(self._index.recency), self.n_items)
        scratch: _Scratch = self._local.scratch
        return scratch

    def config(self) -> dict[str, Any]:
        return self._config.model_dump()

    def arrays(self) -> Arrays:
        return {"count": self._count, **self._index._asdict()}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays, files: Files, n_items: int) -> Self:
        index = SessionIndex(**{name: arrays[name] for name in SessionIndex._fields})
        return cls(index, arrays["count"], VmisKnnConfig(**config))


class _Scratch:
    """Arrays over all sessions and items, kept between the queries of a thread so that a query
    touches only what it finds; ``similarity`` and ``score`` are left at 0."""

    def __init__(self, n_sessions: int, n_items: int) -> None:
        self.similarity = np.zeros(n_sessions)
        self.place = np.zeros(n_sessions, np.int64)
        self.session_number = np.zeros(n_sessions, np.int64)
        self.score = np.zeros(n_items)
        self.item_number = np.zeros(n_items, np.int64)


def _ages(newest: list[int]) -> dict[int, int]:
    """Item -> its age in clicks, for distinct items, newest first."""
    ages: dict[int, int] = {}
    for age, item in enumerate(newest):
        ages.setdefault(item, age)
    return ages


def _each_once(values: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distinct ``values``, without sorting; ``number`` is scratch space that they index."""
    at = np.arange(len(values))
    number[values] = at
    once: NDArray[np.int64] = values[number[values] == at]
    return once


def _largest(values: NDArray[np.float64], order: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Indices of the k largest values; among equals those of the higher ``order``."""
    if len(values) <= k:
        return np.arange(len(values))
    best = np.argpartition(values, len(values) - k)[len(values) - k :]
    border = values[best].min()
    above = np.flatnonzero(values > border)
    equal = np.flatnonzero(values == border)
    newest = np.argsort(-order[equal])[: k - len(above)]
    return np.concatenate([above, equal[newest]])
