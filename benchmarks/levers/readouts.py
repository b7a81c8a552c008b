"""Other ways from a hidden state to scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.levers.lever import Lever
from session_rec.ragged import Ragged
from training.transformer.config import SequenceTrainingConfig
from training.transformer.loss import CosineScores
from training.transformer.model import CosineNextItemTask


class _Interests(nn.Module):
    """Several queries of one hidden state; the logit of an item is that of its best query, or
    the log of their mixture."""

    def __init__(self, scores: CosineScores, interests: int, mixture: bool) -> None:
        super().__init__()
        self.scores, self.mixture = scores, mixture
        d = scores.table.embedding_dim
        self.heads = nn.ModuleList(nn.Linear(d, d) for _ in range(interests - 1))
        self.prior = nn.Linear(d, interests)

    def forward(
        self,
        hidden: Tensor,
        targets: Tensor | None = None,
        training: bool = False,
        testing: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        queries = [hidden] + [hidden + head(hidden) for head in self.heads]
        prior = torch.log_softmax(self.prior(hidden), dim=-1)
        # All of them against the same sample.
        state = torch.get_rng_state()
        logits, classes = [], targets
        for query in queries:
            torch.set_rng_state(state)
            made, classes = self.scores(query, targets, training, testing)
            logits.append(torch.log_softmax(made, dim=1) if self.mixture else made)
        stacked = torch.stack(logits, dim=2)
        if self.mixture:
            # Finite: the gradient of a sum of nothing but minus infinities is none.
            mixed = torch.logsumexp((stacked + prior[:, None]).clamp_min(-1e4), dim=2)
            return mixed.masked_fill(torch.isinf(stacked[:, :, 0]), -torch.inf), classes
        return stacked.max(dim=2).values, classes


class Interests(Lever):
    """Multi-interest readout: the best of several queries (Cen et al. 2020), or a mixture of
    softmaxes (Yang et al. 2018)."""

    def __init__(self, interests: int, mixture: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self.interests, self.mixture = interests, mixture

    def task(
        self, config: SequenceTrainingConfig, counts: NDArray[np.int64] | None
    ) -> CosineNextItemTask:
        lever = self

        class Task(CosineNextItemTask):
            def build(self, body: Any, input_size: Any, **kwargs: Any) -> None:
                super().build(body, input_size, **kwargs)
                self.pre = _Interests(self.pre, lever.interests, lever.mixture)

        return Task(config, counts)


class _Copying(nn.Module):
    """Scores with a part for the items of the session.

    ``gate``: the probability is (1 - g) softmax + g attention over the session's items, as in the
    product's own gate, but that looks the items' vectors up, where this one's has the hidden
    states at their places (``training.transformer.repeats``). Otherwise a learnt number per
    distance is added to the logits of the items that stand so far back, times a gate of the hidden
    state.
    """

    def __init__(self, scores: CosineScores, longest: int, gate: bool) -> None:
        super().__init__()
        self.scores, self.is_gate = scores, gate
        self.by_distance = nn.Parameter(torch.zeros(longest + 2))
        d = scores.table.embedding_dim
        self.gate, self.key = nn.Linear(d, 1), nn.Linear(d, d)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, -1.0 if gate else 0.0)
        self.ids = torch.zeros(0, 0, dtype=torch.long)
        self.at: tuple[Tensor, Tensor] | None = None

    def forward(
        self,
        hidden: Tensor,
        targets: Tensor | None = None,
        training: bool = False,
        testing: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        logits, classes = self.scores(hidden, targets, training, testing)
        ids, distance = self._context(len(hidden))
        bonus = self.by_distance[distance]
        if training and targets is not None:
            return self._trained(hidden, logits, ids, bonus, targets), classes
        if self.is_gate:
            g = torch.sigmoid(self.gate(hidden))
            attended = self._attended(hidden, ids, bonus)
            p = (1 - g) * torch.softmax(logits, dim=1)
            p = p.scatter_add(1, ids, g * attended)
            return torch.log(p.clamp_min(1e-30)).masked_fill(
                ~torch.isfinite(logits), -torch.inf
            ), classes
        added = (bonus * torch.sigmoid(self.gate(hidden)) * 2).masked_fill(ids == 0, 0)
        return logits.scatter_add(1, ids, added), classes

    def _trained(
        self, hidden: Tensor, logits: Tensor, ids: Tensor, bonus: Tensor, targets: Tensor
    ) -> Tensor:
        match = ids == targets[:, None]
        if self.is_gate:
            log_p = torch.log_softmax(logits, dim=1)
            g = self.gate(hidden)[:, 0]
            attended = self._attended(hidden, ids, bonus)
            repeated = (attended * match).sum(dim=1)
            right = torch.exp(log_p[:, 0] + F.logsigmoid(-g)) + torch.sigmoid(g) * repeated
            right = torch.log(right.clamp_min(1e-30))
            # The loss takes a softmax of two columns that sum to one: right and wrong.
            wrong = torch.log1p(-right.exp().clamp_max(1 - 1e-6))
            return torch.stack([right, wrong], dim=1)
        added = (bonus * torch.sigmoid(self.gate(hidden)) * 2).masked_fill(ids == 0, 0)
        # The target's own bonus; the session's other items join the negatives, raised by theirs.
        positive = logits[:, :1] + (added * match).sum(dim=1, keepdim=True)
        vectors = F.normalize(self.scores.table(ids), dim=-1)
        query = F.normalize(hidden, dim=-1) / self.scores.temperature
        own = (vectors @ query[:, :, None])[:, :, 0] + added
        # Once each: an item that stands in the session twice has one logit.
        repeats = (ids[:, :, None] == ids[:, None, :]).triu(1).any(dim=1)
        total = ((ids[:, :, None] == ids[:, None, :]) * added[:, None, :]).sum(dim=2)
        own = (own - added + total).masked_fill((ids == 0) | match | repeats, -torch.inf)
        return torch.cat([positive, own, logits[:, 1:]], dim=1)

    def _attended(self, hidden: Tensor, ids: Tensor, bonus: Tensor) -> Tensor:
        keys = self.key(self.scores.table(ids))
        match = (keys @ hidden[:, :, None])[:, :, 0] / hidden.shape[1] ** 0.5
        return torch.softmax((match + bonus).masked_fill(ids == 0, -torch.inf), dim=1)

    def _context(self, positions: int) -> tuple[Tensor, Tensor]:
        """Ids int64 [P, L] that each position may read, 0 elsewhere, and how far back they are."""
        columns = torch.arange(self.ids.shape[1])
        if self.at is None:
            ids, last = self.ids, (self.ids != 0).sum(dim=1) - 1
        else:
            row, last = self.at
            ids = self.ids[row]
        assert len(ids) == positions
        distance = last[:, None] - columns
        return torch.where(distance >= 0, ids, 0), distance.clamp_min(0)


class Copying(Lever):
    """Scores that know which items stand in the session."""

    def __init__(self, gate: bool, **settings: Any) -> None:
        super().__init__(repeat_gate=False, **settings)
        self.is_gate = gate
        self.copying: _Copying | None = None

    def task(
        self, config: SequenceTrainingConfig, counts: NDArray[np.int64] | None
    ) -> CosineNextItemTask:
        lever = self

        class Task(CosineNextItemTask):
            def build(self, body: Any, input_size: Any, **kwargs: Any) -> None:
                super().build(body, input_size, **kwargs)
                self.pre = lever.copying = _Copying(self.pre, config.max_length, lever.is_gate)

            def forward(
                self, inputs: Tensor, targets: Any = None, training: bool = False, **kw: Any
            ) -> Any:
                assert lever.copying is not None
                labels = self.masking.masked_targets
                asks = training and targets is not None
                lever.copying.at = (
                    torch.nonzero(labels != self.padding_idx, as_tuple=True) if asks else None
                )
                return super().forward(inputs, targets, training, **kw)

        return Task(config, counts)

    def seen(self, sessions: Ragged, which: NDArray[np.int64], ids: Tensor) -> None:
        assert self.copying is not None
        self.copying.ids = ids
