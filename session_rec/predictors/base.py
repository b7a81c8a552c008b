"""The contract that every model serves under.

A predictor is arrays plus a JSON config. It gets contexts of catalog rows (unknown items are
already left out) and scores every item of the catalog. Three promises, held by a contract suite:

* ``top_k`` equals ``score`` followed by an exact sort (score descending, then row ascending);
* the scores of a context do not depend on the company it is scored in, to the bit;
* every score is finite, for an empty context too (its slate is never shown: see the recommender).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from session_rec.ragged import Ragged
from session_rec.retrieval import top_k

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Files:
    """The further files of a model, where they lie.

    Attributes:
        directory: the model directory.
        prefix: what the model's names begin with there; empty but for a part of another model.

    >>> Files(Path("models/shop")).part("knn").prefix
    'knn.'
    """

    directory: Path
    prefix: str = ""

    def read(self, name: str) -> bytes:
        """The content of a file that the model calls ``name``."""
        return (self.directory / f"{self.prefix}{name}").read_bytes()

    def part(self, name: str) -> Files:
        """The files of a part, which lie here under ``name.``."""
        return Files(self.directory, f"{self.prefix}{name}.")


class Predictor(ABC):
    """Scores the catalog for a batch of contexts.

    >>> from session_rec.predictors.popularity import Popularity
    >>> model: Predictor = Popularity(np.array([1, 0, 4], np.float32))
    >>> rows, scores = model.top_k(Ragged.from_lists([[1]]), k=2)
    >>> rows, scores
    (array([[2, 0]], dtype=int32), array([[4., 1.]], dtype=float32))
    """

    #: Name of the model kind in the manifest.
    kind: ClassVar[str]
    #: What is read of a context: of ``items``, ``ts``, ``types``.
    inputs: ClassVar[tuple[str, ...]] = ("items",)
    #: Whether the softmax of the scores is the model's probability of each item. Otherwise scores
    #: above 0 are weights of evidence, and an item's share of their sum is taken for it.
    logits: ClassVar[bool] = False

    #: N, the number of items scored.
    n_items: int

    @abstractmethod
    def score(self, contexts: Ragged) -> NDArray[np.float32]:
        """float32 [B, N]: the score of every item as the next one of each context.

        Reads at most the newest items that the model was made for; longer contexts are fine.
        """

    def top_k(
        self, contexts: Ragged, k: int, blocked: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The k best rows, int32 [B, k], and their scores, float32 [B, k].

        ``blocked`` (bool [N] or [B, N]) marks items that may not be shown. Slots that cannot be
        filled have row -1 and score -inf.
        """
        return top_k(self.score(contexts), k, blocked)

    @property
    def item_vectors(self) -> NDArray[np.float32] | None:
        """float32 [N, d]: vectors whose cosines say how alike items are; None without such."""
        return None

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The JSON-able settings that, with the arrays and files, make this predictor again."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """The weights, written as safetensors."""

    def files(self) -> Mapping[str, bytes]:
        """Further files of the bundle by name, such as ``encoder.onnx``."""
        return {}

    @classmethod
    @abstractmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays, files: Files, n_items: int) -> Self:
        """The predictor that was saved; ``files`` holds what :meth:`files` gave."""
