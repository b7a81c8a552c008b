"""Items as vectors of words, sessions as sentences.

Sources: Mikolov et al., "Distributed representations of words and phrases" (2013); Barkan and
Koenigstein, "Item2vec" (2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from session_rec.config import Config
from session_rec.errors import BundleError
from session_rec.predictors.base import Arrays, Files, Predictor
from session_rec.predictors.dot_products import DotProducts
from session_rec.predictors.evidence import popularity_tail
from session_rec.ragged import Ragged


class ContextVectorConfig(Config):
    """How the clicks of a context become one vector."""

    newest_n: int = Field(default=10, ge=1)
    """Newest clicks of a context that are averaged."""
    decay: float = Field(default=0.6, gt=0, le=1)
    """Each click weighs this times the click after it."""


class Item2Vec(Predictor):
    """Scores items by the dot product of their vector with that of the context.

    The vector of a context is the weighted mean of the vectors of its newest items. Scores are
    within [-1, 1]; items that training never saw have no vector and come after all others.

    Args:
        context_vectors: float32 [N, d], what an item is worth in a context; no row is longer
            than 1 (:meth:`from_vectors` scales to that).
        item_vectors: float32 [N, d], what an item is worth as the next one; likewise.
        count: int64 [N], training events of each item.

    >>> vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    >>> model = Item2Vec(vectors, vectors, np.array([2, 2, 1]), ContextVectorConfig())
    >>> model.score(Ragged.from_lists([[0]]))
    array([[1. , 0.6, 0. ]], dtype=float32)
    """

    kind: ClassVar[str] = "item2vec"
    logits: ClassVar[bool] = True

    def __init__(
        self,
        context_vectors: NDArray[np.float32],
        item_vectors: NDArray[np.float32],
        count: NDArray[np.int64],
        config: ContextVectorConfig,
    ) -> None:
        self.n_items = len(count)
        self._context_vectors = context_vectors
        self._item_vectors = item_vectors
        self._count = count
        self._config = config
        self._dot_products = DotProducts(self._item_vectors)
        self._tail = popularity_tail(count)
        self._unseen = np.flatnonzero(count == 0)

    @classmethod
    def from_vectors(
        cls,
        context_vectors: NDArray[np.float32],
        item_vectors: NDArray[np.float32],
        count: NDArray[np.int64],
        config: ContextVectorConfig,
    ) -> Self:
        """A predictor of vectors of any length, each table scaled as a whole."""
        return cls(_scaled(context_vectors), _scaled(item_vectors), count, config)

    def score(self, contexts: Ragged) -> NDArray[np.float32]:
        scores = self._dot_products(self.encode(contexts))
        scores[:, self._unseen] = self._tail[self._unseen] - 2
        scores[contexts.lengths == 0] = self._tail
        return scores

    def encode(self, contexts: Ragged) -> NDArray[np.float32]:
        """float32 [B, d]: the vector of each context; zeros for an empty one."""
        vectors = np.zeros((len(contexts), self._context_vectors.shape[1]), np.float32)
        decay = np.float32(self._config.decay)
        for b in range(len(contexts)):
            rows = contexts.sequence(b)[::-1][: self._config.newest_n]
            if len(rows):
                weights = decay ** np.arange(len(rows), dtype=np.float32)
                table = self._context_vectors[rows]
                vectors[b] = (table * weights[:, None]).sum(axis=0) / weights.sum()
        return vectors

    def config(self) -> dict[str, Any]:
        return self._config.model_dump()

    def arrays(self) -> Arrays:
        return {
            "context_vectors": self._context_vectors,
            "item_vectors": self._item_vectors,
            "count": self._count,
        }

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays, files: Files, n_items: int) -> Self:
        names = ("context_vectors", "item_vectors", "count")
        if any(name not in arrays or len(arrays[name]) != n_items for name in names):
            raise BundleError(
                f"{files.directory} does not hold vectors of {n_items} items: train again"
            )
        context, item, count = (arrays[name] for name in names)
        return cls(context, item, count, ContextVectorConfig(**config))


def _scaled(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """The table divided by the length of its longest row: no ranking depends on that."""
    longest = np.linalg.norm(table, axis=1).max(initial=0)
    return (table / longest if longest > 0 else table).astype(np.float32)
