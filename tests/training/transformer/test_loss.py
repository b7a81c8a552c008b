from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from training.transformer.loss import CosineScores


def scores_of(n_items: int, num_negatives: int, counts: np.ndarray | None = None) -> CosineScores:
    torch.manual_seed(0)
    table = nn.Embedding(n_items + 1, 8, padding_idx=0)
    return CosineScores(table, 0.5, num_negatives, counts, power=0.75)


def test_scores_are_cosines_over_the_temperature_and_padding_never_wins() -> None:
    module = scores_of(10, 0)
    hidden = torch.randn(3, 8)
    logits, _ = module(hidden)
    rows = module.table.weight.detach().numpy()[1:]
    expected = [
        [float(h @ r / np.linalg.norm(h) / np.linalg.norm(r)) / 0.5 for r in rows]
        for h in hidden.numpy()
    ]
    np.testing.assert_allclose(logits[:, 1:].detach().numpy(), expected, atol=1e-5)
    assert (logits[:, 0] == -torch.inf).all()


def test_the_sampled_sum_of_exponentials_is_unbiased() -> None:
    n_items = 40
    counts = (1000 / np.arange(1, n_items + 1)).astype(np.int64)
    module = scores_of(n_items, 15, counts)
    hidden, targets = torch.randn(4, 8), torch.tensor([1, 2, 20, 40])
    full, _ = module(hidden)
    wanted = full.exp().sum(dim=1).detach()
    drawn = torch.stack(
        [module(hidden, targets, training=True)[0].exp().sum(dim=1).detach() for _ in range(4000)]
    )
    error = (drawn.mean(dim=0) - wanted).abs()
    standard_error = drawn.std(dim=0) / drawn.shape[0] ** 0.5
    assert (error < 4 * standard_error).all()
    assert (standard_error < 0.05 * wanted).all()


def test_the_target_is_no_negative_of_its_own_position() -> None:
    module = scores_of(5, 4, np.array([10_000, 1, 1, 1, 1]))
    hidden = torch.randn(2, 8)
    for _ in range(20):
        logits, classes = module(hidden, torch.tensor([1, 2]), training=True)
        # Item 1 is surely drawn: it is masked for the first position and counts for the second.
        assert (logits[0, 1:] == -torch.inf).sum() == 1
        assert classes.tolist() == [0, 0]


def test_as_many_draws_as_items_means_full_softmax() -> None:
    module = scores_of(5, 5, np.ones(5, np.int64))
    hidden, targets = torch.randn(2, 8), torch.tensor([3, 5])
    logits, classes = module(hidden, targets, training=True)
    assert logits.shape == (2, 6)
    assert torch.isfinite(F.cross_entropy(logits, classes))
