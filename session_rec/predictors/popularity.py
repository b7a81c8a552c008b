"""The most clicked items, whatever the context: the floor under every model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from session_rec.config import Config
from session_rec.predictors.base import Arrays, Files, Predictor
from session_rec.ragged import Ragged


class PopularityConfig(Config):
    """Popularity has no settings."""


class Popularity(Predictor):
    """Scores every item by its number of training events.

    >>> model = Popularity.fit(Ragged.from_lists([[0, 2], [2]]), n_items=4)
    >>> model.score(Ragged.from_lists([[3]]))
    array([[1., 0., 2., 0.]], dtype=float32)
    """

    kind: ClassVar[str] = "popularity"

    def __init__(self, count: NDArray[np.float32], config: PopularityConfig | None = None) -> None:
        self.n_items = len(count)
        self._count = count
        self._config = config or PopularityConfig()

    @classmethod
    def fit(cls, sessions: Ragged, n_items: int, config: PopularityConfig | None = None) -> Self:
        """Counts the events of ``sessions`` by item."""
        return cls(np.bincount(sessions.rows, minlength=n_items).astype(np.float32), config)

    def score(self, contexts: Ragged) -> NDArray[np.float32]:
        return np.tile(self._count, (len(contexts), 1))

    def config(self) -> dict[str, Any]:
        return self._config.model_dump()

    def arrays(self) -> Arrays:
        return {"count": self._count}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays, files: Files, n_items: int) -> Self:
        return cls(arrays["count"], PopularityConfig(**config))
