"""Several models find candidates, a small network ranks them.

Each part retrieves its best items; the union is ranked by a network over the parts' scores and
ranks and what the context says of each candidate. Sources: Covington, Adams and Sargin, "Deep
neural networks for YouTube recommendations" (2016), for the two stages; Wolpert, "Stacked
generalization" (1992), for a second model fitted where the first have not been.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from session_rec.config import Config
from session_rec.errors import BundleError
from session_rec.predictors.base import Arrays, Files, Predictor
from session_rec.predictors.candidates import candidates, feature_names
from session_rec.predictors.fact_features import ItemVectors
from session_rec.predictors.item_facts import ItemFacts
from session_rec.predictors.reranker import Reranker
from session_rec.ragged import Ragged
from session_rec.retrieval import check_finite, top_k


class PartSettings(Config):
    """A part in the manifest."""

    name: str
    """What its arrays and files begin with."""
    kind: str
    """Its model kind."""
    config: dict[str, Any]
    """Its own settings."""


class TwoStageSettings(Config):
    """What the manifest says of a two-stage model."""

    depth: int
    """Items taken from each part."""
    max_length: int
    """Newest items of a context that are read."""
    parts: list[PartSettings]
    """The models that retrieve, the main one first."""


class TwoStage(Predictor):
    """Scores the union of the parts' best items by a re-ranker, above all other items.

    The others follow in the order of the first part's scores, within 2 below the lowest
    candidate.

    Args:
        parts: the models that retrieve, the main one first; by name.
        reranker: ranks the candidates.
        facts: what training says of each item.
        depth: items taken from each part.
        max_length: newest items of a context that are read, by the parts too: as when the
            re-ranker was fitted.

    Raises:
        BundleError: the re-ranker was made for other parts.

    >>> from session_rec.predictors.popularity import Popularity
    >>> part = Popularity.fit(Ragged.from_lists([[2, 2, 1]]), n_items=4)
    >>> facts = ItemFacts.fit(Ragged.from_lists([[2, 2, 1]]), n_items=4)
    >>> first_rank = (np.arange(33) == 1).astype(np.float32)  # popularity.reciprocal_rank
    >>> net = Reranker(first_rank * 0, first_rank * 0 + 1, first_rank,
    ...                np.zeros((33, 1), np.float32), first_rank[:1], first_rank[:1])
    >>> model = TwoStage({"popularity": part}, net, facts, 2, max_length=20)
    >>> model.top_k(Ragged.from_lists([[0]]), 3)[0]
    array([[2, 1, 0]], dtype=int32)
    """

    kind: ClassVar[str] = "two-stage"
    logits: ClassVar[bool] = True
    #: Whatever a part may read.
    inputs: ClassVar[tuple[str, ...]] = ("items", "ts", "types")

    def __init__(
        self,
        parts: Mapping[str, Predictor],
        reranker: Reranker,
        facts: ItemFacts,
        depth: int,
        max_length: int,
    ) -> None:
        names = feature_names(tuple(parts))
        if reranker.linear.shape != (len(names),):
            raise BundleError(
                f"the re-ranker reads {reranker.linear.size} features, but the parts "
                f"{', '.join(parts)} give {len(names)}: the model directory mixes two models"
            )
        self.n_items = facts.n_items
        self._parts = dict(parts)
        self._reranker = reranker
        self._facts = facts
        self._vectors = item_vectors(parts)
        self._depth = depth
        self._max_length = max_length

    @property
    def parts(self) -> Mapping[str, Predictor]:
        """The models that retrieve, by name."""
        return self._parts

    def score(self, contexts: Ragged) -> NDArray[np.float32]:
        contexts = contexts.newest(self._max_length)
        of_parts = [part.score(contexts) for part in self._parts.values()]
        scores = np.empty((len(contexts), self.n_items), np.float32)
        for b, (rows, own) in enumerate(self._ranked(contexts, of_parts)):
            scores[b] = _below(own, of_parts[0][b])
            scores[b, rows] = own
        return scores

    def top_k(
        self, contexts: Ragged, k: int, blocked: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        contexts = contexts.newest(self._max_length)
        of_parts = [part.score(contexts) for part in self._parts.values()]
        slates = np.full((len(contexts), k), -1, np.int32)
        best = np.full((len(contexts), k), -np.inf, np.float32)
        for b, (rows, own) in enumerate(self._ranked(contexts, of_parts)):
            check_finite(own)
            mask = blocked if blocked is None or blocked.ndim == 1 else blocked[b]
            shown, values = rows, own
            if mask is not None:
                shown, values = rows[~mask[rows]], own[~mask[rows]]
            if len(shown) >= k:
                # Rows ascend, so a stable sort breaks ties by row.
                order = np.argsort(-values, kind="stable")[:k]
                slates[b], best[b] = shown[order], values[order]
                continue
            line = _below(own, of_parts[0][b])
            line[rows] = own
            of_all, their = top_k(line[None], k, mask)
            slates[b], best[b] = of_all[0], their[0]
        return slates, best

    def _ranked(
        self, contexts: Ragged, of_parts: list[NDArray[np.float32]]
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Of each context, cut already, the candidates, ascending rows int64 [C], and their
        scores."""
        logits = [part.logits for part in self._parts.values()]
        best = [top_k(s, min(self._depth, self.n_items)) for s in of_parts]
        if not len(contexts):
            return []
        of = candidates(of_parts, best, logits, contexts, self._facts, self._vectors)
        # One product for all of them: its rows do not depend on each other.
        scores = self._reranker(of.features)
        places = [of.found.of(b) for b in range(len(contexts))]
        return [(of.found.rows[own], scores[own]) for own in places]

    def config(self) -> dict[str, Any]:
        return {
            "depth": self._depth,
            "max_length": self._max_length,
            # A list: the first part is the main one, and JSON objects are kept sorted.
            "parts": [
                {"name": name, "kind": part.kind, "config": part.config()}
                for name, part in self._parts.items()
            ],
        }

    def arrays(self) -> Arrays:
        own = {f"reranker.{name}": array for name, array in self._reranker.arrays().items()}
        of_parts = {
            f"{name}.{key}": array
            for name, part in self._parts.items()
            for key, array in part.arrays().items()
        }
        facts = {f"facts.{name}": array for name, array in self._facts.arrays().items()}
        return {**of_parts, **own, **facts}

    def files(self) -> Mapping[str, bytes]:
        return {
            f"{name}.{key}": data
            for name, part in self._parts.items()
            for key, data in part.files().items()
        }

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays, files: Files, n_items: int) -> Self:
        from session_rec.predictors import predictor_class

        settings = TwoStageSettings(**config)
        parts = {
            part.name: predictor_class(part.kind).restore(
                part.config, _beginning_with(part.name, arrays), files.part(part.name), n_items
            )
            for part in settings.parts
        }
        facts = ItemFacts.restore(_beginning_with("facts", arrays), n_items)
        reranker = Reranker(**_beginning_with("reranker", arrays))
        return cls(parts, reranker, facts, settings.depth, settings.max_length)


def _below(own: NDArray[np.float32], main: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [N]: all items in the order of the main part, 1 to 2 below the lowest candidate."""
    top, bottom = main.max(), main.min()
    behind = (top - main) / (top - bottom + np.float32(1e-6))
    line: NDArray[np.float32] = own.min() - np.float32(1) - behind
    return line


def item_vectors(parts: Mapping[str, Predictor]) -> ItemVectors:
    """The vectors of the first part that has such.

    >>> item_vectors({}).directions(np.array([3])).tolist()
    [[0.0]]
    """
    vectors = (part.item_vectors for part in parts.values())
    return ItemVectors(next((v for v in vectors if v is not None), None))


def _beginning_with(name: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
