"""The questions of held-out sessions as the re-ranker sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.base import Predictor
from session_rec.predictors.candidates import candidates, feature_names
from session_rec.predictors.item_facts import ItemFacts
from session_rec.predictors.two_stage import item_vectors
from session_rec.ragged import Ragged
from session_rec.recommender import MICRO_BATCH


class RerankingData(NamedTuple):
    """Q questions whose answer is among the candidates, padded to the same width.

    Attributes:
        features: float32 [Q, C, F].
        counts: int64 [Q], candidates of each question; the rest of its rows is 0.
        answers: int64 [Q], which candidate is the answer.
        asked: how many questions there were, those without the answer among the candidates
            included.
    """

    features: NDArray[np.float32]
    counts: NDArray[np.int64]
    answers: NDArray[np.int64]
    asked: int

    @property
    def recall(self) -> float:
        """Share of the questions whose answer is among the candidates."""
        return len(self.answers) / max(self.asked, 1)


def reranking_data(
    parts: Mapping[str, Predictor],
    contexts: Ragged,
    targets: NDArray[np.int64],
    facts: ItemFacts,
    depth: int,
    progress: Callable[[int], None] | None = None,
) -> RerankingData:
    """The candidates of each context and their features.

    Args:
        parts: the models, none of which saw ``contexts`` in training.
        contexts: Q contexts of catalog rows.
        targets: int64 [Q], the row that came next.
        facts: what the sessions that the parts saw say of each item.
        depth: items taken from each part.
    """
    vectors = item_vectors(parts)
    logits = [part.logits for part in parts.values()]
    width = depth * len(parts)
    features = np.zeros((len(contexts), width, len(feature_names(list(parts)))), np.float32)
    counts = np.zeros(len(contexts), np.int64)
    answers = np.full(len(contexts), -1, np.int64)
    for start in range(0, len(contexts), MICRO_BATCH):
        batch = contexts.take(np.arange(start, min(start + MICRO_BATCH, len(contexts))))
        scores = [part.score(batch) for part in parts.values()]
        for b in range(len(batch)):
            q = start + b
            rows, values = candidates(
                [s[b] for s in scores], logits, batch.sequence(b), facts, vectors, depth
            )
            at = int(np.searchsorted(rows, targets[q]))
            if at < len(rows) and rows[at] == targets[q]:
                features[q, : len(rows)], counts[q], answers[q] = values, len(rows), at
        if progress is not None:
            progress(len(batch))
    kept = np.flatnonzero(answers >= 0)
    return RerankingData(features[kept], counts[kept], answers[kept], len(contexts))
