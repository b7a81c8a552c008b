"""What the session already clicked, then what everybody clicks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from session_rec.config import Config
from session_rec.predictors.base import Arrays, Files
from session_rec.predictors.evidence import EvidencePredictor
from session_rec.ragged import Ragged


class SessionPopularityConfig(Config):
    """How clicks of the session are weighed."""

    decay: float = Field(default=0.8, gt=0, le=1)
    """Each click weighs this times the click after it; 1 counts all alike."""


class SessionPopularity(EvidencePredictor):
    """Scores the items of the context by their clicks, newer ones weighing more.

    >>> model = SessionPopularity.fit(Ragged.from_lists([[0, 1], [1]]), n_items=3)
    >>> model.score(Ragged.from_lists([[2, 0]]))
    array([[ 1.  , -0.25,  0.8 ]], dtype=float32)
    """

    kind: ClassVar[str] = "session-popularity"

    def __init__(self, count: NDArray[np.int64], config: SessionPopularityConfig) -> None:
        super().__init__(count)
        self._count = count
        self._config = config

    @classmethod
    def fit(
        cls,
        sessions: Ragged,
        n_items: int,
        config: SessionPopularityConfig | None = None,
    ) -> Self:
        """Counts the events of ``sessions`` by item."""
        return cls(
            np.bincount(sessions.rows, minlength=n_items), config or SessionPopularityConfig()
        )

    def evidence(
        self, context: NDArray[np.int32]
    ) -> tuple[NDArray[np.integer[Any]], NDArray[np.float64]]:
        rows, place = np.unique(context, return_inverse=True)
        weights = self._config.decay ** np.arange(len(context) - 1, -1, -1, dtype=np.float64)
        return rows, np.asarray(np.bincount(place, weights), np.float64)

    def config(self) -> dict[str, Any]:
        return self._config.model_dump()

    def arrays(self) -> Arrays:
        return {"count": self._count}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays, files: Files, n_items: int) -> Self:
        return cls(arrays["count"], SessionPopularityConfig(**config))
