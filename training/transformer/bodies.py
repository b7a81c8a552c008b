"""What reads the items of a session: the one part in which the kinds of sequence models differ."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from training.transformer.compat import import_transformers4rec
from training.transformer.config import (
    Gru4RecConfig,
    SequenceTrainingConfig,
    TransformerConfig,
)
from training.transformer.gru import GruBlock

tr: Any = import_transformers4rec()


class CausalInputs(nn.Module):
    """What GPT2 is called with. T4R adds a head mask that repeats GPT2's own causal mask."""

    def __init__(self, transformer: nn.Module, masking: nn.Module | None = None) -> None:
        super().__init__()

    def forward(self, inputs_embeds: Tensor) -> dict[str, Tensor]:
        return {"inputs_embeds": inputs_embeds}


def build_body(config: SequenceTrainingConfig, masking: Any) -> Any:
    """A block of Transformers4Rec, vectors float32 [B, L, d] -> hidden states float32 [B, L, d].

    ``masking`` is the masking of the model's inputs.
    """
    if isinstance(config, Gru4RecConfig):
        return GruBlock(config)
    assert isinstance(config, TransformerConfig)
    block = tr.TransformerBlock(
        _transformer_config(config),
        masking=masking,
        prepare_module=CausalInputs if config.architecture == "gpt2" else None,
    )
    # Its own word embedding is never read: inputs arrive as vectors.
    block.transformer.get_input_embeddings().weight.requires_grad_(False)
    return block


def masking_settings(config: SequenceTrainingConfig) -> dict[str, Any]:
    """What the inputs of the model are told about the training's masking."""
    if isinstance(config, TransformerConfig):
        return {"masking": config.objective, "mlm_probability": config.mlm_probability}
    return {"masking": config.objective}


def reader(block: Any) -> Any:
    """The trained part of a body, without what T4R keeps around it (which does not export)."""
    return block if isinstance(block, GruBlock) else block.transformer


def hidden_states(reading: Any, embeddings: Tensor) -> Tensor:
    """float32 [B, L, d]: what :func:`reader`'s module makes of vectors float32 [B, L, d]."""
    if isinstance(reading, GruBlock):
        hidden: Tensor = reading(embeddings)
        return hidden
    # Neither keeps anything for a next call: memories in XLNet, past keys in GPT2.
    keeps = "use_mems" if reading.config.model_type == "xlnet" else "use_cache"
    states: Tensor = reading(inputs_embeds=embeddings, return_dict=False, **{keeps: False})[0]
    return states


def _transformer_config(config: TransformerConfig) -> Any:
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
