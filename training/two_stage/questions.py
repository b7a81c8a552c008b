"""The questions of held-out sessions as the re-ranker sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.base import Predictor
from session_rec.predictors.candidates import candidates, feature_names
from session_rec.predictors.item_facts import ItemFacts
from session_rec.predictors.two_stage import item_vectors
from session_rec.ragged import Ragged
from session_rec.recommender import MICRO_BATCH
from session_rec.retrieval import top_k


class RerankingData(NamedTuple):
    """The candidates of Q questions whose answer is among them, one question after the other.

    Attributes:
        features: float32 [C, F], of all candidates.
        offsets: int64 [Q + 1]; question q has the candidates ``offsets[q]:offsets[q + 1]``.
        answers: int64 [Q], which candidate of its question is the answer.
        asked: how many questions there were, those without the answer among the candidates
            included.
    """

    features: NDArray[np.float32]
    offsets: NDArray[np.int64]
    answers: NDArray[np.int64]
    asked: int

    @property
    def recall(self) -> float:
        """Share of the questions whose answer is among the candidates."""
        return len(self.answers) / max(self.asked, 1)

    def batch(
        self, which: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]:
        """Features float32 [B, W, F] of the questions ``which``, padded to the same width; where
        a candidate is, bool [B, W]; the answers, int64 [B]."""
        starts = self.offsets[which]
        counts = self.offsets[which + 1] - starts
        columns = np.arange(counts.max())
        there = columns < counts[:, None]
        places = np.where(there, starts[:, None] + columns, 0)
        return self.features[places], there, self.answers[which]


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
    features: list[NDArray[np.float32]] = []
    answers: list[NDArray[np.int64]] = []
    for start in range(0, len(contexts), MICRO_BATCH):
        which = np.arange(start, min(start + MICRO_BATCH, len(contexts)))
        batch = contexts.take(which)
        scores = [part.score(batch) for part in parts.values()]
        best = [top_k(s, min(depth, s.shape[1])) for s in scores]
        of = candidates(scores, best, logits, batch, facts, vectors)
        at = of.found.places(np.arange(len(batch)), targets[which])
        for b in np.flatnonzero(at >= 0).tolist():
            features.append(of.features[of.found.of(b)])
        answers.append((at - of.found.offsets[:-1])[at >= 0])
        if progress is not None:
            progress(len(batch))
    names = feature_names(list(parts))
    return RerankingData(
        np.concatenate([np.zeros((0, len(names)), np.float32), *features]),
        np.cumsum([0, *map(len, features)]),
        np.concatenate([np.zeros(0, np.int64), *answers]),
        len(contexts),
    )


def together(slices: Sequence[RerankingData]) -> RerankingData:
    """The questions of one slice after the other; there is at least one."""
    if len(slices) == 1:
        return slices[0]  # a copy would take as much memory once more
    counts = np.concatenate([np.diff(data.offsets) for data in slices])
    return RerankingData(
        np.concatenate([data.features for data in slices]),
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate([data.answers for data in slices]),
        sum(data.asked for data in slices),
    )
