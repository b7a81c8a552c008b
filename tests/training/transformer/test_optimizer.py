from __future__ import annotations

import pytest
import torch
from torch import nn

from training.transformer.config import TransformerConfig
from training.transformer.optimizer import RowAdamW, clip_gradients, learning_rate


def test_rows_that_every_step_touches_move_as_in_dense_adamw() -> None:
    torch.manual_seed(0)
    start = torch.randn(5, 3)
    tables = [nn.Embedding(5, 3, sparse=sparse) for sparse in (True, False)]
    for table in tables:
        table.weight.data.copy_(start)
    optimizers = [
        RowAdamW([tables[0].weight], lr=0.1, weight_decay=0.2),
        torch.optim.AdamW([tables[1].weight], lr=0.1, weight_decay=0.2),
    ]
    ids = torch.tensor([0, 1, 2, 3, 4, 3, 3])
    for step in range(5):
        for table, optimizer in zip(tables, optimizers, strict=True):
            optimizer.zero_grad()
            (table(ids) * (ids[:, None] + step + 1)).sin().sum().backward()
            optimizer.step()
    torch.testing.assert_close(tables[0].weight, tables[1].weight)


def test_rows_without_a_gradient_do_not_move() -> None:
    table = nn.Embedding(4, 2, sparse=True)
    before = table.weight.detach().clone()
    optimizer = RowAdamW([table.weight], lr=0.1, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        table(torch.tensor([1, 1])).sum().backward()
        optimizer.step()
    moved = (table.weight != before).any(dim=1)
    assert moved.tolist() == [False, True, False, False]


def test_the_joint_norm_of_sparse_and_dense_gradients_is_clipped() -> None:
    table = nn.Embedding(3, 1, sparse=True)
    dense = nn.Parameter(torch.zeros(1))
    # Row 1 is looked up twice, so its gradient is 3; the other parameter's is 4: together 5.
    (table(torch.tensor([1, 1])).sum() * 1.5 + dense.sum() * 4).backward()
    clip_gradients([table.weight, dense], largest=1.0)
    assert table.weight.grad is not None and dense.grad is not None
    assert table.weight.grad.to_dense()[1].item() == pytest.approx(0.6, abs=1e-5)
    assert dense.grad.item() == pytest.approx(0.8, abs=1e-5)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    config = TransformerConfig(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(step, 100, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.04)
    assert rates.index(max(rates)) == 10 and max(rates) == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.0)
