"""Catalog + predictor + retrieval + policy: contexts in, slates out.

Every number that is reported and every prediction that is served goes through this one class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from session_rec.catalog import UNKNOWN, Catalog
from session_rec.errors import ConfigError
from session_rec.policy import SHOW_ALL, Policy
from session_rec.predictors.base import Predictor
from session_rec.ragged import Ragged
from session_rec.retrieval import check_finite, top_k
from session_rec.sessions import SessionRules
from session_rec.slates import Slates

#: Contexts scored at once: bounds memory to this many rows of the catalog.
MICRO_BATCH = 64


@dataclass(frozen=True)
class Recommender:
    """A loaded model, ready to answer.

    Attributes:
        catalog: the items.
        predictor: the model.
        rules: the session rules it was trained and evaluated under.
        fingerprint: 16 hex digits that name this model; empty if it was never saved.
        policy: what may be shown.

    >>> import numpy as np
    >>> from session_rec.predictors.session_popularity import SessionPopularity
    >>> clicks = Ragged.from_lists([[0, 1], [0, 2]])
    >>> catalog = Catalog(("pear", "plum", "fig"), np.array([2, 1, 1]))
    >>> model = SessionPopularity.fit(clicks, len(catalog))
    >>> recommender = Recommender(catalog, model, SessionRules())
    >>> [item for item, score in recommender.recommend(["fig"], k=2)]
    ['fig', 'pear']
    >>> slates = recommender.recommend_many([["plum", "no such item"], ["no such item"]], k=2)
    >>> slates.items(0), slates.known, slates.fallback
    (['plum', 'pear'], array([1, 0]), array([False,  True]))
    >>> unseen = recommender.with_policy(Policy(exclude_seen=True))
    >>> [item for item, score in unseen.recommend(["fig"], k=2)]
    ['pear', 'plum']
    >>> contexts = recommender.encode([["fig", "no such item"]])
    >>> contexts.rows
    array([ 2, -1], dtype=int32)
    >>> rows, scores = recommender.best(recommender.score(contexts), contexts, k=2)
    >>> rows
    array([[2, 0]], dtype=int32)
    """

    catalog: Catalog
    predictor: Predictor
    rules: SessionRules
    fingerprint: str = ""
    policy: Policy = SHOW_ALL

    @classmethod
    def load(cls, path: str | Path, policy: Policy | None = None) -> Recommender:
        """The model in directory ``path``, every file verified against its manifest.

        Raises:
            BundleError: the directory is missing, damaged or of an unknown format.
        """
        from session_rec.bundle import load

        recommender = load(Path(path))
        return recommender if policy is None else recommender.with_policy(policy)

    def with_policy(self, policy: Policy) -> Recommender:
        """The same model under another policy."""
        return replace(self, policy=policy)

    def recommend(self, items: Sequence[str], k: int = 20) -> list[tuple[str, float]]:
        """The k best next items after ``items`` (ids, newest last) with their scores."""
        slates = self.recommend_many([items], k)
        return list(zip(slates.items(0), slates.scores[0].tolist(), strict=False))

    def recommend_many(self, contexts: Sequence[Sequence[str]] | Ragged, k: int = 20) -> Slates:
        """One slate of length k for each of B contexts.

        Args:
            contexts: item ids, newest last; or catalog rows as a ragged array
                (:meth:`encode`), with -1 for unknown items.
            k: slate length; at most the catalog's size is useful.

        Raises:
            ConfigError: ``k`` is below 1.
        """
        if k < 1:
            raise ConfigError(f"a slate of {k} items was asked for: ask for at least one")
        if not isinstance(contexts, Ragged):
            contexts = self.encode(contexts)
        known = contexts.keep(contexts.rows != UNKNOWN)
        parts = [
            self._slates(known.take(np.arange(i, min(i + MICRO_BATCH, len(known)))), k)
            for i in range(0, len(known), MICRO_BATCH)
        ]
        if not parts:
            parts = [(np.zeros((0, k), np.int32), np.zeros((0, k), np.float32))]
        lengths = known.lengths
        return Slates(
            self.catalog,
            np.concatenate([p[0] for p in parts]),
            np.concatenate([p[1] for p in parts]),
            lengths,
            lengths == 0,
        )

    def encode(
        self,
        contexts: Sequence[Sequence[str]],
        ts: Sequence[Sequence[int]] | None = None,
        types: Sequence[Sequence[int]] | None = None,
    ) -> Ragged:
        """Contexts of item ids as a ragged array of catalog rows, -1 for unknown items.

        ``ts`` (milliseconds) and ``types`` (codes) are parallel to ``contexts``; a model that
        reads them takes positions as the clock and views as the type where they are missing.
        """
        lengths = np.fromiter((len(c) for c in contexts), np.int64, len(contexts))
        offsets = np.zeros(len(contexts) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        rows = self.catalog.rows(i for c in contexts for i in c)
        if ts is None:
            clock = np.arange(offsets[-1], dtype=np.int64) - np.repeat(offsets[:-1], lengths)
        else:
            clock = np.array([t for c in ts for t in c], np.int64)
        codes = (
            np.zeros(len(rows), np.int8)
            if types is None
            else np.array([t for c in types for t in c], np.int8)
        )
        return Ragged(rows, offsets, clock, codes)

    def score(self, contexts: Ragged) -> NDArray[np.float32]:
        """float32 [B, N]: the score of every item after each context (rows as by :meth:`encode`).

        Contexts without a known item get the popularity order, as their slates do.

        Raises:
            NonFiniteScoreError: a score is NaN or infinite.
        """
        known = contexts.keep(contexts.rows != UNKNOWN)
        scores = self.predictor.score(known)
        check_finite(scores)
        empty = known.lengths == 0
        if empty.any():
            scores = scores.copy()
            scores[empty] = self.popular_scores
        return scores

    def best(
        self, scores: NDArray[np.float32], contexts: Ragged, k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The slates that :meth:`recommend_many` gives for ``contexts``, from their ``scores``.

        Returns:
            rows int32 [B, k] and scores float32 [B, k], as :func:`session_rec.retrieval.top_k`.
        """
        known = contexts.keep(contexts.rows != UNKNOWN)
        return top_k(scores, k, self.policy.blocked(self.catalog, known))

    @property
    def popular_scores(self) -> NDArray[np.float32]:
        """float32 [N]: training counts, the scores of the fallback slate."""
        return self.catalog.count.astype(np.float32)

    def _slates(self, known: Ragged, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        blocked = self.policy.blocked(self.catalog, known)
        rows, scores = self.predictor.top_k(known, k, blocked)
        # A predictor may find its best by itself: what it shows must be sound all the same.
        check_finite(scores[rows >= 0])
        empty = np.flatnonzero(known.lengths == 0)
        if len(empty):
            popular = np.broadcast_to(self.popular_scores, (len(empty), len(self.catalog)))
            mask = blocked if blocked is None or blocked.ndim == 1 else blocked[empty]
            rows[empty], scores[empty] = top_k(popular, k, mask)
        return rows, scores
