"""Small shops whose rule a reader can see."""

from __future__ import annotations

import numpy as np
import pytest

from session_rec.ragged import Ragged
from training.transformer.config import Gru4RecConfig, TransformerConfig

N_ITEMS = 30


def walks(n_sessions: int, seed: int) -> Ragged:
    """Sessions of 2 to 12 items that go round a circle of items: row, row + 1, row + 2, ..."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, N_ITEMS, n_sessions)
    lengths = rng.integers(2, 13, n_sessions)
    return Ragged.from_lists(
        [[int(s + i) % N_ITEMS for i in range(n)] for s, n in zip(starts, lengths, strict=True)]
    )


@pytest.fixture(scope="session")
def tiny() -> TransformerConfig:
    """A model that trains in a second."""
    return TransformerConfig(
        d_model=16,
        n_heads=2,
        n_layers=1,
        max_length=8,
        dropout_embedding=0.1,
        dropout_residual=0.1,
        num_negatives=12,
        batch_size=32,
        epochs=3,
        learning_rate=1e-2,
        threads=1,
    )


@pytest.fixture(scope="session")
def tiny_gru() -> Gru4RecConfig:
    """The same for a GRU."""
    return Gru4RecConfig(
        d_model=16,
        n_layers=2,
        hidden_size=20,
        max_length=8,
        dropout_embedding=0.1,
        dropout_output=0.1,
        num_negatives=12,
        batch_size=32,
        epochs=5,
        learning_rate=1e-2,
        threads=1,
    )
