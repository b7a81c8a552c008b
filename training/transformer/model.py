"""Builds the ``transformers4rec.torch.Model`` that is trained, evaluated and exported."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from training.transformer.compat import import_transformers4rec
from training.transformer.config import TransformerConfig
from training.transformer.loss import CosineScores

tr: Any = import_transformers4rec()

#: Name of the one input: int64 [B, L], catalog row + 1, right-padded with 0.
ITEM_ID = "item_id"


class CosineNextItemTask(tr.NextItemPredictionTask):  # type: ignore[misc]
    """T4R's next-item task with cosine scores, and a loss that can weigh sessions.

    ``targets`` of the model's forward are session weights, float32 [B]; the labels come from the
    masking, as in T4R itself.
    """

    def __init__(self, config: TransformerConfig, counts: NDArray[np.int64] | None) -> None:
        # T4R's default metric objects are shared between models: have none.
        super().__init__(weight_tying=True, metrics=[])
        self.config = config
        self.counts = counts

    def build(self, body: Any, input_size: Any, **kwargs: Any) -> None:
        super().build(body, input_size, **kwargs)
        self.pre = CosineScores(
            self.item_embedding_table,
            self.config.temperature,
            self.config.num_negatives,
            self.counts,
            self.config.negative_power,
        )

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor | None = None,
        training: bool = False,
        testing: bool = False,
        top_k: int | None = None,
        **kwargs: Any,
    ) -> Any:
        if targets is None or not training:
            return super().forward(inputs, None, training, testing, top_k, **kwargs)
        labels = self.masking.masked_targets
        asked = labels != self.padding_idx
        logits, classes = self.pre(inputs[asked], labels[asked], training=True)
        loss = F.cross_entropy(logits, classes, reduction="none")
        weights = targets[:, None].expand_as(labels)[asked]
        return {
            "loss": (loss * weights).sum() / weights.sum(),
            "labels": classes,
            "predictions": logits,
        }


class CausalInputs(nn.Module):
    """What GPT2 is called with. T4R adds a head mask that repeats GPT2's own causal mask."""

    def __init__(self, transformer: nn.Module, masking: nn.Module | None = None) -> None:
        super().__init__()

    def forward(self, inputs_embeds: Tensor) -> dict[str, Tensor]:
        return {"inputs_embeds": inputs_embeds}


def build_model(
    n_items: int, config: TransformerConfig, counts: NDArray[np.int64] | None = None
) -> Any:
    """A fresh ``transformers4rec.torch.Model`` over ``n_items`` items, initialised by torch's
    global random state.

    ``model({"item_id": ids})`` gives scores float32 [B, N + 1]; column ``row + 1`` is a catalog
    row, column 0 is padding and -inf. ``counts`` (int64 [N]) is needed for training with sampled
    softmax only.
    """
    inputs = tr.TabularSequenceFeatures.from_schema(
        _schema(n_items, config),
        aggregation="concat",
        masking=config.masking,
        mlm_probability=config.mlm_probability,
        embedding_dim_default=config.d_model,
    )
    gpt2 = config.architecture == "gpt2"
    body = tr.SequentialBlock(
        inputs,
        tr.TransformerBlock(
            _body_config(config),
            masking=inputs.masking,
            prepare_module=CausalInputs if gpt2 else None,
        ),
    )
    model = tr.Model(tr.Head(body, CosineNextItemTask(config, counts)))
    # Rows of length 1, so that the position embeddings are heard beside them.
    table = item_table(model)
    with torch.no_grad():
        table.weight.copy_(F.normalize(torch.randn_like(table.weight), dim=-1))
        table.weight[0] = 0
    # The body's own word embedding is never read: inputs arrive as vectors.
    transformer(model).get_input_embeddings().weight.requires_grad_(False)
    return model


def item_table(model: Any) -> nn.Embedding:
    """The tied item table [N + 1, d]; row 0 is padding."""
    table = model.heads[0].body.inputs.item_embedding_table
    assert isinstance(table, nn.Embedding)
    return table


def transformer(model: Any) -> Any:
    """The Hugging Face body of the model."""
    return model.heads[0].body[1].transformer


def mask_vector(model: Any) -> Tensor:
    """float32 [d]: the learnt vector that stands for a masked item."""
    vector = model.heads[0].body.inputs.masking.masked_item_embedding
    assert isinstance(vector, Tensor)
    return vector


def input_length(config: TransformerConfig, longest: int) -> int:
    """Columns of an inference batch whose longest context has ``longest`` items.

    XLNet gets no attention mask from T4R, so its scores change with the padding: always the same.
    """
    return config.max_length if config.architecture == "xlnet" else longest


def training_length(config: TransformerConfig) -> int | None:
    """Columns of every training batch; None: as many as its longest session has."""
    return config.max_length + 1 if config.architecture == "xlnet" else None


def weights(model: Any) -> dict[str, Tensor]:
    """Every parameter once, by name. What else the model holds follows from its config."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def load_weights(model: Any, saved: dict[str, Tensor]) -> None:
    """Puts the tensors of :func:`weights` back, in place."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(saved[name])


def _schema(n_items: int, config: TransformerConfig) -> Any:
    from merlin.schema import ColumnSchema, Schema, Tags

    return Schema(
        [
            ColumnSchema(
                ITEM_ID,
                dtype=np.int64,
                # A list without a finite maximum breaks T4R's size inference.
                dims=(None, (0, config.max_length + 1)),
                tags=[Tags.ITEM_ID, Tags.ITEM, Tags.CATEGORICAL, Tags.LIST, Tags.SEQUENCE],
                properties={"domain": {"min": 0, "max": n_items, "name": ITEM_ID}},
            )
        ]
    )


def _body_config(config: TransformerConfig) -> Any:
    common = {
        "d_model": config.d_model,
        "n_head": config.n_heads,
        "n_layer": config.n_layers,
        # One more than a context: in training the target of the newest position comes along.
        "total_seq_length": config.max_length + 1,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-5,
        "dropout": config.dropout_residual,
    }
    if config.architecture == "xlnet":
        return tr.XLNetConfig.build(**common)
    built = tr.GPT2Config.build(**common)
    built.embd_pdrop = config.dropout_embedding
    built.attn_pdrop = config.dropout_attention
    return built
