"""Trained sequence models: an ONNX encoder turns a context into a vector, one matmul scores it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from session_rec.errors import BundleError
from session_rec.predictors.base import Arrays, Files, Predictor
from session_rec.predictors.dot_products import DotProducts, vector_lengths
from session_rec.predictors.onnx_session import onnx_session
from session_rec.predictors.repeats import raise_repeats
from session_rec.ragged import Ragged

ENCODER = "encoder.onnx"
TABLE = "item_table"

#: Contexts the encoder takes at once.
_BATCH = 64

_TINY = np.float32(1e-12)  # a vector of zeros has no direction, and scores 0


class EncoderPredictor(Predictor):
    """Scores are cosines of the context's vector and the item vectors, over a temperature; with a
    repeat gate, those of the context's own items rise (:func:`raise_repeats`).

    Args:
        item_table: float32 [N, d], the input vectors; their directions score.
        encoder: the ONNX model: ``embeddings`` float32 [B, L, d] (right-padded with zeros) and
            ``lengths`` int64 [B] -> ``hidden`` float32 [B, d], of length 1 / temperature, and, if
            the model has a repeat gate, ``repeats`` float32 [B, L], a log weight per position.
        max_length: newest items that are read.
        fixed_length: always pad to ``max_length`` (an encoder that sees its padding); otherwise
            contexts are padded to the next power of two.

    A row's scores are the same bits in any company: its padding follows from its own length, and
    onnxruntime on one thread lets no rows of a batch of two or more influence each other.

    Raises:
        BundleError: the table and the encoder do not fit each other.
    """

    logits: ClassVar[bool] = True

    def __init__(
        self,
        item_table: NDArray[np.float32],
        encoder: bytes,
        *,
        max_length: int,
        fixed_length: bool = False,
    ) -> None:
        self.n_items, self._width = item_table.shape
        self._table = item_table
        self._dot_products = DotProducts(item_table, np.maximum(vector_lengths(item_table), _TINY))
        self._encoder = encoder
        self._session = onnx_session(encoder, ENCODER)
        self.max_length, self.fixed_length = max_length, fixed_length
        shape = {i.name: i.shape for i in self._session.get_inputs()}.get("embeddings")
        if shape is None or shape[2] != self._width:
            raise BundleError(
                f"{ENCODER} takes embeddings of shape {shape}, but {TABLE} holds vectors of "
                f"{self._width} numbers: the model directory mixes two models"
            )
        self._outputs = [o.name for o in self._session.get_outputs()]

    @property
    def repeats(self) -> bool:
        """The model has a repeat gate."""
        return "repeats" in self._outputs

    def score(self, contexts: Ragged) -> NDArray[np.float32]:
        contexts = contexts.newest(self.max_length)
        hidden, weights = self._read(contexts)
        scores = self._dot_products(hidden)
        if self.repeats:
            raise_repeats(scores, contexts, weights)
        return scores

    def encode(self, contexts: Ragged) -> NDArray[np.float32]:
        """float32 [B, d]: the vector of each context; zeros for an empty one."""
        return self._read(contexts.newest(self.max_length))[0]

    def _read(self, contexts: Ragged) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vector of each context, float32 [B, d], and the log weight of each of its entries,
        float32 [T] parallel to ``contexts.rows`` (-inf without a repeat gate)."""
        lengths = contexts.lengths
        hidden = np.zeros((len(contexts), self._width), np.float32)
        weights = np.full(len(contexts.rows), -np.inf, np.float32)
        padded = self._padded_length(lengths)
        for length in np.unique(padded[lengths > 0]):
            bucket = np.flatnonzero((padded == length) & (lengths > 0))
            for start in range(0, len(bucket), _BATCH):
                which = bucket[start : start + _BATCH]
                outputs, places, filled = self._run(contexts, which, int(length))
                hidden[which] = outputs[0]
                if self.repeats:
                    weights[places[filled]] = outputs[1][filled]
        return hidden, weights

    @property
    def item_vectors(self) -> NDArray[np.float32]:
        return self._table

    def config(self) -> dict[str, Any]:
        settings = {"max_length": self.max_length, "fixed_length": self.fixed_length}
        # Said, so that a version that does not know of repeats refuses the model.
        return settings | ({"repeat_gate": True} if self.repeats else {})

    def arrays(self) -> Arrays:
        return {TABLE: self._table}

    def files(self) -> Mapping[str, bytes]:
        return {ENCODER: self._encoder}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays, files: Files, n_items: int) -> Self:
        if unknown := config.keys() - {"max_length", "fixed_length", "repeat_gate"}:
            raise BundleError(
                f"{files.directory} has settings that this version does not know: "
                f"{', '.join(sorted(unknown))}; use the version that wrote it"
            )
        table = arrays.get(TABLE)
        if table is None or table.dtype != np.float32 or table.ndim != 2 or len(table) != n_items:
            raise BundleError(
                f"{files.directory} holds no {TABLE} of {n_items} float32 vectors: "
                "train the model again"
            )
        return cls(
            table,
            files.read(ENCODER),
            max_length=int(config["max_length"]),
            fixed_length=bool(config["fixed_length"]),
        )

    def _padded_length(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.fixed_length:
            return np.full(len(lengths), self.max_length)
        powers = 1 << np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
        padded: NDArray[np.int64] = np.minimum(powers, self.max_length)
        return padded

    def _run(
        self, contexts: Ragged, which: NDArray[np.int64], length: int
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.int64], NDArray[np.bool_]]:
        """What the encoder gives for the contexts ``which``, and [B, length] each: where in
        ``contexts.rows`` their entries stand, and which of these places are entries of theirs."""
        starts = contexts.offsets[which]
        lengths = contexts.offsets[which + 1] - starts
        columns = np.arange(length)
        filled = columns < lengths[:, None]
        places = starts[:, None] + columns
        embeddings = self._table[contexts.rows[np.where(filled, places, 0)]] * filled[:, :, None]
        if len(which) == 1:
            # Matrix kernels treat a single row specially, with other last bits.
            embeddings, lengths = np.repeat(embeddings, 2, axis=0), np.repeat(lengths, 2)
        outputs = self._session.run(self._outputs, {"embeddings": embeddings, "lengths": lengths})
        return [output[: len(which)] for output in outputs], places, filled
