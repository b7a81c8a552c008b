"""A trained GRU4Rec, served by its ONNX encoder."""

from __future__ import annotations

from typing import ClassVar

from session_rec.predictors.encoder import EncoderPredictor


class Gru4RecPredictor(EncoderPredictor):
    """A recurrent network over the items of a context (GRU4Rec, Hidasi et al. 2016)."""

    kind: ClassVar[str] = "gru4rec"
