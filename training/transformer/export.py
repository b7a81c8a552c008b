"""The trained model as a predictor that needs numpy and onnxruntime only."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from session_rec.predictors.encoder import EncoderPredictor
from session_rec.predictors.gru4rec import Gru4RecPredictor
from session_rec.predictors.transformer import TransformerPredictor
from training.transformer.bodies import hidden_states, reader
from training.transformer.config import Gru4RecConfig, SequenceTrainingConfig
from training.transformer.loop import TrainedSequenceModel
from training.transformer.model import body, item_table, mask_vector, task

#: Fixed, so that the same weights give the same file and old runtimes can read it.
OPSET = 17


class Encoder(nn.Module):
    """Item vectors of contexts -> the vectors that score the catalog.

    T4R's own body does not export (its masking and its padding are Python-side state). This
    module reuses the trained sub-modules and repeats what T4R does with them in inference.

    Inputs are ``embeddings`` float32 [B, L, d], right-padded with zeros, and ``lengths`` int64
    [B], each in 1..L; the output ``hidden`` is float32 [B, d], of length 1 / temperature. With a
    repeat gate a second one follows, ``repeats`` float32 [B, L]: what
    :class:`~training.transformer.repeats.RepeatGate` gives.
    """

    def __init__(self, model: Any, config: SequenceTrainingConfig) -> None:
        super().__init__()
        self.body = reader(body(model))
        self.masked = config.objective == "mlm"
        self.mask_vector = nn.Parameter(mask_vector(model).detach().clone())
        self.temperature = config.temperature
        self.repeats = task(model).repeats

    def forward(self, embeddings: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        if self.masked:
            # T4R asks at an extra position behind the newest item, filled with the mask vector.
            embeddings = F.pad(embeddings, (0, 0, 0, 1))
            asked = lengths
            positions = torch.arange(embeddings.shape[1])[None, :, None]
            embeddings = torch.where(
                positions == asked[:, None, None], self.mask_vector, embeddings
            )
        else:
            asked = lengths - 1
        hidden = hidden_states(self.body, embeddings)
        index = asked[:, None, None].expand(-1, 1, hidden.shape[2])
        last = hidden.gather(1, index).squeeze(1)
        query = F.normalize(last, dim=-1) / self.temperature
        if self.repeats is None:
            return (query,)
        weights = self.repeats(hidden, torch.arange(hidden.shape[0]), asked)
        return query, weights


def export_predictor(trained: TrainedSequenceModel) -> EncoderPredictor:
    """The predictor that serves the trained model; its scores are the model's within 1e-5 of
    their range."""
    config = trained.config
    table = item_table(trained.model).weight.detach()[1:].contiguous().numpy()
    serving = Gru4RecPredictor if isinstance(config, Gru4RecConfig) else TransformerPredictor
    return serving(
        table.copy(),
        encode_onnx(trained.model, config),
        max_length=config.max_length,
        fixed_length=config.sees_padding,
    )


def encode_onnx(model: Any, config: SequenceTrainingConfig) -> bytes:
    """``encoder.onnx``: standard operators, no external data, batch and length dynamic
    (length fixed where the model sees its padding)."""
    encoder = Encoder(model, config).eval()
    embeddings = torch.zeros(2, config.max_length, config.d_model)
    lengths = torch.tensor([1, config.max_length])
    dynamic = {"embeddings": {0: "batch"}, "lengths": {0: "batch"}, "hidden": {0: "batch"}}
    if not config.sees_padding:
        dynamic["embeddings"][1] = "length"
    outputs = ["hidden"]
    if encoder.repeats is not None:
        outputs.append("repeats")
        dynamic["repeats"] = {0: "batch", 1: "length"}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        path = Path(folder) / "encoder.onnx"
        # The tracer warns about shapes taken as constants; the parity test is the answer to that.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            encoder,
            (embeddings, lengths),
            path,
            input_names=["embeddings", "lengths"],
            output_names=outputs,
            dynamic_axes=dynamic,
            opset_version=OPSET,
            dynamo=False,
        )
        return path.read_bytes()
