"""Builds the ``transformers4rec.torch.Model`` that is trained, evaluated and exported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from training.transformer.bodies import build_body, masking_settings
from training.transformer.compat import import_transformers4rec
from training.transformer.config import SequenceTrainingConfig
from training.transformer.loss import CosineScores
from training.transformer.repeats import RepeatGate, with_repeats
from training.transformer.soft_targets import BatchTargets

tr: Any = import_transformers4rec()

#: Name of the one input: int64 [B, L], catalog row + 1, right-padded with 0.
ITEM_ID = "item_id"


class CosineNextItemTask(tr.NextItemPredictionTask):  # type: ignore[misc]
    """T4R's next-item task with cosine scores, and a loss that can weigh sessions.

    ``targets`` of the model's forward are session weights, float32 [B]; the labels come from the
    masking, as in T4R itself.
    """

    def __init__(self, config: SequenceTrainingConfig, counts: NDArray[np.int64] | None) -> None:
        # T4R's default metric objects are shared between models: have none.
        super().__init__(weight_tying=True, metrics=[])
        self.config = config
        self.counts = counts
        self.repeats: RepeatGate | None = None
        #: What a teacher says of the batch to come. T4R has a place for session weights only.
        self.taught: BatchTargets | None = None

    def build(self, body: Any, input_size: Any, **kwargs: Any) -> None:
        super().build(body, input_size, **kwargs)
        self.pre = CosineScores(
            self.item_embedding_table,
            self.config.temperature,
            self.config.num_negatives,
            self.counts,
            self.config.negative_power,
        )
        if self.config.repeats:
            self.repeats = RepeatGate(self.config.d_model, self.config.max_length + 1)

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor | None = None,
        training: bool = False,
        testing: bool = False,
        top_k: int | None = None,
        **kwargs: Any,
    ) -> Any:
        ids = self.embeddings.item_seq
        if self.repeats is None and (targets is None or not training):
            return super().forward(inputs, None, training, testing, top_k, **kwargs)
        if not (training or testing):
            last = (ids != self.padding_idx).sum(dim=1) - 1
            return self.scores(inputs, ids, torch.arange(len(ids)), last)
        labels = self.masking.masked_targets
        asked = labels != self.padding_idx
        if targets is None or not training:
            scores = self.scores(inputs, ids, *torch.nonzero(asked, as_tuple=True))
            classes = labels[asked]
            loss = F.cross_entropy(scores, classes)
            return {"loss": loss, "labels": classes, "predictions": scores}
        states, wanted = inputs[asked], labels[asked][:, None]
        logits, classes = self.pre(states, labels[asked], training=True)
        losses = self.losses(logits, classes)[:, None]
        if self.taught is not None:
            # The sum of all exponentials is the one that the click's loss estimates.
            total = torch.logsumexp(logits, dim=1, keepdim=True)
            losses = torch.cat([losses, total - self.pre.of(states, self.taught.ids)], dim=1)
            wanted = torch.cat([wanted, self.taught.ids], dim=1)
        if self.repeats is not None:
            row, last = torch.nonzero(asked, as_tuple=True)
            losses = self.repeats.losses(losses, inputs, ids, row, last, wanted)
        if self.taught is None:
            loss = losses.squeeze(1)
        else:
            loss = (losses * self.taught.weights).sum(dim=1)
        weights = targets[:, None].expand_as(labels)[asked]
        return {
            "loss": (loss * weights).sum() / weights.sum(),
            "labels": classes,
            "predictions": logits,
        }

    def losses(self, logits: Tensor, classes: Tensor) -> Tensor:
        """float32 [P]: the loss of each position, of logits [P, C] and classes int64 [P]."""
        return F.cross_entropy(logits, classes, reduction="none")

    def scores(self, states: Tensor, ids: Tensor, row: Tensor, last: Tensor) -> Tensor:
        """float32 [P, N + 1]: of every item, column 0 (padding) being -inf.

        ``states`` are float32 [B, L, d], ``ids`` int64 [B, L]; question p, int64 [P] each, stands
        at ``last[p]`` of session ``row[p]``.
        """
        scores: Tensor = self.pre(states[row, last])[0]
        if self.repeats is None:
            return scores
        return with_repeats(scores, self.repeats(states, row, last), ids[row])


def build_model(
    n_items: int,
    config: SequenceTrainingConfig,
    counts: NDArray[np.int64] | None = None,
    *,
    body: Callable[[SequenceTrainingConfig, Any], Any] = build_body,
    task: Callable[
        [SequenceTrainingConfig, NDArray[np.int64] | None], CosineNextItemTask
    ] = CosineNextItemTask,
) -> Any:
    """A fresh ``transformers4rec.torch.Model`` over ``n_items`` items, initialised by torch's
    global random state.

    ``model({"item_id": ids})`` gives scores float32 [B, N + 1]; column ``row + 1`` is a catalog
    row, column 0 is padding and -inf. ``counts`` (int64 [N]) is needed for training with sampled
    softmax only. ``body`` and ``task`` make what reads a session and what scores it.
    """
    inputs = tr.TabularSequenceFeatures.from_schema(
        _schema(n_items, config),
        aggregation="concat",
        embedding_dim_default=config.d_model,
        **masking_settings(config),
    )
    layers = tr.SequentialBlock(inputs, body(config, inputs.masking))
    model = tr.Model(tr.Head(layers, task(config, counts)))
    # Rows of length 1, so that the position embeddings are heard beside them.
    table = item_table(model)
    with torch.no_grad():
        table.weight.copy_(F.normalize(torch.randn_like(table.weight), dim=-1))
        table.weight[0] = 0
    return model


def item_table(model: Any) -> nn.Embedding:
    """The tied item table [N + 1, d]; row 0 is padding."""
    table = model.heads[0].body.inputs.item_embedding_table
    assert isinstance(table, nn.Embedding)
    return table


def body(model: Any) -> Any:
    """The block that :func:`~training.transformer.bodies.build_body` made for the model."""
    return model.heads[0].body[1]


def mask_vector(model: Any) -> Tensor:
    """float32 [d]: the learnt vector that stands for a masked item."""
    vector = model.heads[0].body.inputs.masking.masked_item_embedding
    assert isinstance(vector, Tensor)
    return vector


def input_length(config: SequenceTrainingConfig, longest: int) -> int:
    """Columns of an inference batch whose longest context has ``longest`` items.

    A model that sees its padding always gets the same amount of it.
    """
    return config.max_length if config.sees_padding else longest


def training_length(config: SequenceTrainingConfig) -> int | None:
    """Columns of every training batch; None: as many as its longest session has."""
    return config.max_length + 1 if config.sees_padding else None


def weights(model: Any) -> dict[str, Tensor]:
    """Every parameter once, by name. What else the model holds follows from its config."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def load_weights(model: Any, saved: dict[str, Tensor]) -> None:
    """Puts the tensors of :func:`weights` back, in place."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(saved[name])


def _schema(n_items: int, config: SequenceTrainingConfig) -> Any:
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


def task(model: Any) -> CosineNextItemTask:
    """What scores the hidden states of the model."""
    (found,) = model.heads[0].prediction_task_dict.values()
    assert isinstance(found, CosineNextItemTask)
    return found
