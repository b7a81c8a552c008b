"""A GRU as the part of a Transformers4Rec model that reads the items of a session."""

from __future__ import annotations

from torch import Tensor, nn

from training.transformer.block import SameWidthBlock
from training.transformer.config import Gru4RecConfig


class GruBlock(SameWidthBlock):
    """Vectors float32 [B, L, d] -> hidden states float32 [B, L, d]; a position reads itself and
    what comes before it, so padding on the right changes nothing."""

    def __init__(self, config: Gru4RecConfig) -> None:
        super().__init__()
        width = config.hidden_size or config.d_model
        self.residual = config.residual
        self.embedding_dropout = nn.Dropout(config.dropout_embedding)
        # One module a layer: torch's own stack hides its dropout from whoever must switch it off.
        self.layers = nn.ModuleList(
            nn.GRU(width if layer else config.d_model, width, batch_first=True)
            for layer in range(config.n_layers)
        )
        self.output_dropout = nn.Dropout(config.dropout_output)
        self.projection = (
            nn.Identity()
            if width == config.d_model
            else nn.Linear(width, config.d_model, bias=False)
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        inputs = hidden = self.embedding_dropout(embeddings)
        for layer in self.layers:
            hidden = self.output_dropout(layer(hidden)[0])
        projected: Tensor = self.projection(hidden)
        return projected + inputs if self.residual else projected
