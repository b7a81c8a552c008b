"""Other starts of the item table, and other ways for it to move."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from benchmarks.levers.lever import Lever, LeverRun
from session_rec.ragged import Ragged
from training.transformer.block import SameWidthBlock
from training.transformer.bodies import build_body
from training.transformer.config import SequenceTrainingConfig
from training.transformer.model import item_table


class Item2VecStart(Lever):
    """The item table starts from item2vec's vectors, trained with that model's own recipe."""

    def __init__(self, item2vec: dict[str, Any], table: str, **settings: Any) -> None:
        super().__init__(item_start="random", **settings)
        self.item2vec, self.table = item2vec, table

    def begin(self, run: LeverRun, train: Ragged) -> None:
        from training.item2vec import Item2VecConfig, fit_vectors

        vectors = fit_vectors(train, run.n_items, Item2VecConfig(**self.item2vec))[2]
        tables = {
            "inputs": vectors.inputs,
            "outputs": vectors.outputs,
            "sum": vectors.inputs + vectors.outputs,
        }
        start = tables[self.table]
        empty = np.linalg.norm(start, axis=1) < 1e-9
        weight = item_table(run.model).weight
        with torch.no_grad():
            made = F.normalize(torch.from_numpy(start.astype(np.float32)), dim=-1)
            made[torch.from_numpy(empty)] = weight[1:][torch.from_numpy(empty)]
            weight[1:] = made


class _Slower(Optimizer):
    """An optimizer at a share of the rate that the loop sets."""

    def __init__(self, inner: Any, share: float) -> None:
        self.inner, self.share = inner, share
        self.param_groups, self.state = inner.param_groups, inner.state

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["lr"] *= self.share
        self.inner.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.inner.zero_grad(set_to_none)


class TableRate(Lever):
    """The item table learns at ``share`` of the other parameters' rate."""

    def __init__(self, share: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.share = share

    def begin(self, run: LeverRun, train: Ragged) -> None:
        run.optimizers[-1] = _Slower(run.optimizers[-1], self.share)


class _InputMatrix(SameWidthBlock):
    def __init__(self, body: Any, d_model: int) -> None:
        super().__init__()
        self.body, self.matrix = body, nn.Linear(d_model, d_model, bias=False)
        nn.init.eye_(self.matrix.weight)

    def forward(self, vectors: Tensor) -> Tensor:
        read: Tensor = self.body(self.matrix(vectors))
        return read


class _OwnInputs(SameWidthBlock):
    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body
        self.table: nn.Embedding | None = None
        self.ids = torch.zeros(0, 0, dtype=torch.long)

    def forward(self, vectors: Tensor) -> Tensor:
        assert self.table is not None
        read: Tensor = self.body(self.table(self.ids[:, : vectors.shape[1]]))
        return read


class UntiedTables(Lever):
    """Items are read by one table and scored by another, both started by co-occurrence."""

    def body(self, config: SequenceTrainingConfig, masking: Any) -> Any:
        self.read = _OwnInputs(build_body(config, masking))
        return self.read

    def begin(self, run: LeverRun, train: Ragged) -> None:
        from training.transformer.optimizer import RowAdamW

        weight = item_table(run.model).weight
        self.read.table = nn.Embedding.from_pretrained(
            weight.detach().clone(), freeze=False, padding_idx=0, sparse=True
        )
        own = self.read.table.weight
        run.names[own] = "inputs"
        run.optimizers.append(RowAdamW([own], run.config.learning_rate, run.config.weight_decay))

    def seen(self, sessions: Ragged, which: Any, ids: Tensor) -> None:
        self.read.ids = ids


class InputMatrix(Lever):
    """A matrix between the item table and the body."""

    def body(self, config: SequenceTrainingConfig, masking: Any) -> Any:
        return _InputMatrix(build_body(config, masking), config.d_model)


class OtherCooccurrence(Lever):
    """Co-occurrence counted within another window, small counts worth less: a pair that was seen
    n times has n / (n + ``discount``) of its PMI (Pantel and Lin 2002)."""

    def __init__(self, window: int, discount: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.window, self.discount = window, discount

    def begin(self, run: LeverRun, train: Ragged) -> None:
        from training.transformer import cooccurrence

        counts = cooccurrence.pair_counts(train, run.n_items, self.window)
        ppmi = cooccurrence.ppmi(counts, self.discount)
        rng = np.random.default_rng([run.config.seed, 0xC00C])
        start = cooccurrence.unit_factors(ppmi, run.config.d_model, rng)
        with torch.no_grad():
            item_table(run.model).weight[1:] = torch.from_numpy(start)
