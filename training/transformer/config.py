"""Settings of the sequence models, transformer and GRU4Rec, and of their training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from training.transformer.teacher import TeacherConfig

_ONE_MASKING = {"gpt2": "clm", "xlnet": "mlm"}
_REASONS = {
    "gpt2": "GPT2 attends to the past only and must be trained with masking 'clm'",
    "xlnet": (
        "XLNet attends in both directions, so with masking 'clm' it reads the very item that it "
        "is asked to predict and every metric is false; use masking 'mlm'"
    ),
}


class SequenceTrainingConfig(BaseModel):
    """What all sequence models are built and trained with. The defaults suit a small shop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    d_model: int = Field(default=128, ge=4)
    """Size of the item vectors and of the hidden states."""
    max_length: int = Field(default=20, ge=1)
    """Newest items of a context that the model reads."""
    dropout_embedding: float = Field(default=0.4, ge=0, lt=1)
    """Share of the input embedding's numbers dropped in training (not with XLNet, which has one
    rate)."""
    temperature: float = Field(default=0.07, gt=0)
    """Scores are cosines divided by this."""

    repeat_gate: bool = False
    """Learn when a session repeats one of its own items, and which (RepeatNet's gate)."""

    num_negatives: int = Field(default=4096, ge=0)
    """Draws per batch for the sampled softmax, shared by its positions. 0, or no fewer than there
    are items: full softmax."""
    negative_power: float = Field(default=0.75, ge=0)
    """Negatives are drawn in proportion to popularity to this power; 0 is uniform."""
    item_start: Literal["cooccurrence", "random"] = "cooccurrence"
    """Where the item table starts: PPMI of co-clicks and truncated SVD, or random directions."""
    recency_half_life_days: float = Field(default=0.0, ge=0)
    """A session this old counts half in the loss; 0 weighs all alike. Needs ``ts`` to be a
    clock."""
    recency_half_life_sessions: float = Field(default=0.0, ge=0)
    """The same by the number of sessions that ended later, where ``ts`` orders but is no clock; 0
    weighs all alike."""

    teacher: TeacherConfig | None = None
    """Learn another model's answers beside the clicks (distillation): slower to train by that
    model's training, once a fold, and as fast to serve. Not with XLNet, which learns by masked
    items."""

    epochs: int = Field(default=8, ge=1)
    """Passes over the sessions; the learning rate's course is laid out for all of them."""
    batch_size: int = Field(default=128, ge=1)
    """Sessions per step. Small ones are clearly better (64 to 128)."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak learning rate of AdamW (one cycle)."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of all steps over which the learning rate rises to its peak."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay, on matrices only."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient of a step."""
    patience: int = Field(default=2, ge=1)
    """Epochs without a better validation MRR@20 before training stops."""

    seed: int = Field(default=1, ge=0)
    """The same seed, data and thread count give the same weights to the bit."""
    threads: int = Field(default=2, ge=1)
    """Threads that torch computes with."""
    checkpoint_minutes: float = Field(default=5.0, gt=0)
    """A checkpoint is written after each epoch and whenever this many minutes have passed."""

    @property
    def objective(self) -> str:
        """The masking that Transformers4Rec trains with: clm asks for the next item at every
        position, mlm for masked items."""
        return "clm"

    @property
    def repeats(self) -> bool:
        """The model has a repeat gate, which asks for what was clicked before a position."""
        return self.repeat_gate and self.objective == "clm"

    @property
    def sees_padding(self) -> bool:
        """Padding changes the scores, so that a context must always get the same amount of it."""
        return False

    @model_serializer(mode="wrap")
    def _without_no_teacher(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Checkpoints and recipes of models without a teacher are known by what they were before
        # there were any.
        values: dict[str, Any] = handler(self)
        if values.get("teacher") is None:
            values.pop("teacher", None)
        return values


class TransformerConfig(SequenceTrainingConfig):
    """A Hugging Face transformer in a Transformers4Rec model."""

    repeat_gate: bool = True
    """Learn when a session repeats one of its own items, and which (RepeatNet's gate; not with
    XLNet, whose masked items stand amid the others)."""
    architecture: Literal["gpt2", "xlnet"] = "gpt2"
    """The Hugging Face body: causal GPT2, or bidirectional XLNet."""
    masking: Literal["clm", "mlm"] = "clm"
    """Training objective of Transformers4Rec: clm (next item, GPT2) or mlm (masked, XLNet)."""
    n_layers: int = Field(default=1, ge=1)
    """Transformer blocks. On the rsc15 data one is as good as two, in two thirds of the time."""
    n_heads: int = Field(default=4, ge=1)
    """Attention heads of a block; divides ``d_model``."""
    dropout_residual: float = Field(default=0.2, ge=0, lt=1)
    """Dropout on the output of each sub-layer; XLNet uses it everywhere."""
    dropout_attention: float = Field(default=0.1, ge=0, lt=1)
    """Dropout on the attention weights (GPT2)."""
    mlm_probability: float = Field(default=0.3, gt=0, lt=1)
    """Share of a session's items masked in training (mlm only); at least one is."""

    @property
    def objective(self) -> str:
        return self.masking

    @property
    def sees_padding(self) -> bool:
        # T4R gives XLNet no attention mask.
        return self.architecture == "xlnet"

    @model_validator(mode="after")
    def _fits_together(self) -> TransformerConfig:
        if self.masking != _ONE_MASKING[self.architecture]:
            raise ValueError(_REASONS[self.architecture])
        if self.teacher is not None and self.masking != "clm":
            raise ValueError(
                "a teacher answers what comes next, and masking 'mlm' does not ask for that; "
                "leave the teacher out, or use architecture 'gpt2' with masking 'clm'"
            )
        if self.d_model % self.n_heads:
            raise ValueError(
                f"d_model ({self.d_model}) must be a multiple of n_heads ({self.n_heads})"
            )
        return self


class Gru4RecConfig(SequenceTrainingConfig):
    """A GRU in a Transformers4Rec model (GRU4Rec, Hidasi et al. 2016), with our loss."""

    n_layers: int = Field(default=1, ge=1)
    """GRU layers, one above the other."""
    hidden_size: int | None = Field(default=None, ge=1)
    """Units of a layer; ``d_model`` unless given, otherwise a matrix leads back to it."""
    dropout_output: float = Field(default=0.2, ge=0, lt=1)
    """Share of the output of each layer dropped in training."""
    residual: bool = False
    """Add the newest item's vector to what the layers make of the session. GRU4Rec has no such
    path; with it the start by co-occurrence is of use at once, and the MRR is higher."""
