from __future__ import annotations

import numpy as np
import pytest
import torch

from session_rec.retrieval import NonFiniteScoreError
from training.transformer.batches import prefixes
from training.transformer.config import TransformerConfig
from training.transformer.model import (
    ITEM_ID,
    build_model,
    item_table,
    load_weights,
    tr,
    weights,
)
from training.transformer.validation import torch_scores, validation_metrics

from .conftest import N_ITEMS, walks


@pytest.mark.parametrize("architecture,masking", [("gpt2", "clm"), ("xlnet", "mlm")])
def test_the_model_is_transformers4recs_own_and_scores_every_row(
    tiny: TransformerConfig, architecture: str, masking: str
) -> None:
    config = TransformerConfig.model_validate(
        {
            **tiny.model_dump(),
            "architecture": architecture,
            "masking": masking,
            "repeat_gate": False,  # cosines alone have a bound
        }
    )
    model = build_model(N_ITEMS, config)
    assert type(model) is tr.Model
    contexts, _ = prefixes(walks(5, 0), config.max_length)
    scores = torch_scores(model, contexts, config)
    assert scores.shape == (len(contexts), N_ITEMS)
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() <= 1 / config.temperature + 1e-4


def test_a_causal_model_does_not_see_what_comes_later(tiny: TransformerConfig) -> None:
    torch.manual_seed(0)
    model = build_model(N_ITEMS, tiny)
    model.eval()
    asked = {}
    for name, last in (("a", 5), ("b", 9)):
        model({ITEM_ID: torch.tensor([[1, 2, 3, last]])}, testing=True)
        body = model.heads[0].body({ITEM_ID: torch.tensor([[1, 2, 3, last]])}, training=True)
        asked[name] = body[0, :3]
    assert torch.equal(asked["a"], asked["b"])


def test_weights_come_back(tiny: TransformerConfig) -> None:
    torch.manual_seed(0)
    first = build_model(N_ITEMS, tiny)
    second = build_model(N_ITEMS, tiny)
    load_weights(second, {name: tensor.clone() for name, tensor in weights(first).items()})
    contexts, _ = prefixes(walks(5, 1), tiny.max_length)
    assert np.array_equal(torch_scores(first, contexts, tiny), torch_scores(second, contexts, tiny))


def test_validation_counts_ties_against_the_model(tiny: TransformerConfig) -> None:
    model = build_model(N_ITEMS, tiny)
    with torch.no_grad():
        item_table(model).weight[1:] = 1.0
    # All scores are equal: every target shares the last rank, 30 of 30.
    assert validation_metrics(model, walks(10, 2), tiny) == {"mrr20": 0.0, "hr20": 0.0}


def test_validation_never_ranks_by_scores_that_are_not_numbers(tiny: TransformerConfig) -> None:
    """No score is at or above NaN: its item would have rank 0, and a reciprocal rank of infinity
    would make the broken epoch the best one."""
    model = build_model(N_ITEMS, tiny)
    with torch.no_grad():
        item_table(model).weight[4] = torch.nan
    with pytest.raises(NonFiniteScoreError):
        validation_metrics(model, walks(10, 2), tiny)
