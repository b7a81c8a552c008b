"""A trained transformer, served by its ONNX encoder."""

from __future__ import annotations

from typing import ClassVar

from session_rec.predictors.encoder import EncoderPredictor


class TransformerPredictor(EncoderPredictor):
    """A transformer of Transformers4Rec (GPT2 or XLNet)."""

    kind: ClassVar[str] = "transformer"
