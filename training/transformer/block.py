"""What T4R asks of a part that reads the items of a session."""

from __future__ import annotations

from typing import Any

import torch

from training.transformer.compat import import_transformers4rec

tr: Any = import_transformers4rec()


class SameWidthBlock(tr.BlockBase):  # type: ignore[misc]
    """A block float32 [B, L, d] -> float32 [B, L, d]."""

    def forward_output_size(self, input_size: Any) -> torch.Size:
        """What T4R asks of a block; the width does not change."""
        return torch.Size(input_size)
