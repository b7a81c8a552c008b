"""Other readers of a session."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.levers.lever import Lever
from training.transformer.block import SameWidthBlock
from training.transformer.bodies import build_body
from training.transformer.compat import import_transformers4rec
from training.transformer.config import SequenceTrainingConfig

tr: Any = import_transformers4rec()


class _GatedLayer(nn.Module):
    """x + sigmoid(W x') * attention(x'), then the same around a SwiGLU; x' is the normed x."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        d = config.d_model
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(2))
        self.gates = nn.ModuleList(nn.Linear(d, d) for _ in range(2))
        self.attention = nn.MultiheadAttention(
            d, config.n_heads, dropout=config.dropout_attention, batch_first=True
        )
        self.up, self.down = nn.Linear(d, 2 * 4 * d), nn.Linear(4 * d, d)
        self.dropout = nn.Dropout(config.dropout_residual)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        normed = self.norms[0](x)
        read = self.attention(normed, normed, normed, attn_mask=mask, need_weights=False)[0]
        x = x + torch.sigmoid(self.gates[0](normed)) * self.dropout(read)
        normed = self.norms[1](x)
        gate, value = self.up(normed).chunk(2, dim=-1)
        fed = self.down(F.silu(gate) * value)
        return x + torch.sigmoid(self.gates[1](normed)) * self.dropout(fed)


class _GatedBody(SameWidthBlock):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.positions = nn.Embedding(config.max_length + 1, config.d_model)
        nn.init.normal_(self.positions.weight, std=0.02)
        self.embedding_dropout = nn.Dropout(config.dropout_embedding)
        self.layers = nn.ModuleList(_GatedLayer(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, vectors: Tensor) -> Tensor:
        length = vectors.shape[1]
        x = self.embedding_dropout(vectors + self.positions.weight[:length])
        mask = torch.ones(length, length, dtype=torch.bool).triu(1)
        for layer in self.layers:
            x = layer(x, mask)
        normed: Tensor = self.norm(x)
        return normed


class GatedLayers(Lever):
    """Pre-norm layers with gated residuals and SwiGLU (eSASRec's LiGR layers)."""

    def body(self, config: SequenceTrainingConfig, masking: Any) -> Any:
        return _GatedBody(config)


class Electra(Lever):
    """An ELECTRA body with masked items. T4R calls it 'rtd', but trains no discriminator: nothing
    calls ``get_fake_tokens`` of its masking, so that 'rtd' is 'mlm' there."""

    def __init__(self, **settings: Any) -> None:
        # Padded to one width, as every body that reads both ways.
        super().__init__(architecture="xlnet", masking="mlm", **settings)

    def body(self, config: SequenceTrainingConfig, masking: Any) -> Any:
        assert hasattr(config, "n_heads")
        built = tr.ElectraConfig.build(
            d_model=config.d_model,
            n_head=config.n_heads,
            n_layer=config.n_layers,
            total_seq_length=config.max_length + 1,
            dropout=config.dropout_residual,
        )
        block = tr.TransformerBlock(built, masking=masking)
        block.transformer.get_input_embeddings().weight.requires_grad_(False)
        return block


class _TwoBodies(SameWidthBlock):
    def __init__(self, first: Any, second: Any) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, vectors: Tensor) -> Tensor:
        summed: Tensor = self.first(vectors) + self.second(vectors)
        return summed


class LastItemPath(Lever):
    """The newest item's vector is added to what the layers make of the session."""

    def body(self, config: SequenceTrainingConfig, masking: Any) -> Any:
        return _TwoBodies(build_body(config, masking), nn.Identity())
