"""Cosine scores against the tied item table, and the softmax over sampled items."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F


class CosineScores(nn.Module):
    """Scores of hidden states: cosine with every row of the item table, over a temperature.

    In training with ``num_negatives`` > 0 the softmax runs over the target and a sample of items
    that all positions of the batch share. The sample is what ``num_negatives`` draws with
    replacement from popularity^power leave after removing repeats; an item is in it with
    probability 1 - (1 - q)^num_negatives. Subtracting the log of that from a negative's logit
    makes the sum of exponentials an unbiased estimate of the full one (logQ correction, Bengio
    and Senecal 2008); the target is always there, so it is not corrected.

    Args:
        table: embedding [N + 1, d] shared with the input; row 0 is padding.
        temperature: divides the cosines.
        num_negatives: draws per batch; 0 or >= N means full softmax.
        counts: int64 [N], clicks of each catalog row in training; ``None`` for a model that
            will only be read, or with full softmax.
        power: exponent on the counts.
    """

    cumulative: Tensor | None
    log_inclusion: Tensor | None

    def __init__(
        self,
        table: nn.Embedding,
        temperature: float,
        num_negatives: int = 0,
        counts: NDArray[np.int64] | None = None,
        power: float = 0.75,
    ) -> None:
        super().__init__()
        self.table = table
        self.temperature = temperature
        n_items = table.num_embeddings - 1
        self.num_negatives = num_negatives if num_negatives < n_items else 0
        # Looked up by id only, it can have a sparse gradient; full softmax reads all of it.
        table.sparse = self.num_negatives > 0
        cumulative = log_inclusion = None
        if counts is not None and self.num_negatives:
            # An item that only validation or the catalog knows must be pushed away too.
            weights = np.maximum(counts, 1).astype(np.float64) ** power
            q = weights / weights.sum()
            cumulative = torch.from_numpy(np.cumsum(q))
            inclusion = -np.expm1(self.num_negatives * np.log1p(-q))
            log_inclusion = torch.from_numpy(np.log(inclusion).astype(np.float32))
        self.register_buffer("cumulative", cumulative, persistent=False)
        self.register_buffer("log_inclusion", log_inclusion, persistent=False)

    def forward(
        self,
        hidden: Tensor,
        targets: Tensor | None = None,
        training: bool = False,
        testing: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Logits and the classes to compare them with.

        ``hidden`` is float32 [P, d], ``targets`` int64 [P] of ids 1..N. Without sampling:
        logits [P, N + 1] (column 0, padding, is -inf) and ``targets``. With it: logits
        [P, 1 + sampled], the target in column 0, and zeros.
        """
        query = F.normalize(hidden, dim=-1) / self.temperature
        if training and self.num_negatives and targets is not None:
            return self._sampled(query, targets)
        scores = query @ F.normalize(self.table.weight, dim=-1).T
        padding = torch.zeros(scores.shape[1], dtype=torch.bool, device=scores.device)
        padding[0] = True
        return scores.masked_fill(padding, -torch.inf), targets

    def of(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """float32 [P, K]: the scores of a few items for hidden states [P, d], ids int64 [P, K]."""
        # Many positions ask for the same items: each is looked up, and has a gradient, once.
        some, place = torch.unique(ids, return_inverse=True)
        vectors = F.embedding(place, F.normalize(self.table(some), dim=-1))
        query = F.normalize(hidden, dim=-1) / self.temperature
        return (vectors @ query[:, :, None]).squeeze(2)

    def sample(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Catalog rows of the negatives, int64 [S], ascending and each once, and the log of the
        probability that each had to be among them, float32 [S]."""
        if self.cumulative is None or self.log_inclusion is None:
            raise RuntimeError("a model built without item counts cannot sample negatives")
        draws = torch.rand(self.num_negatives, dtype=torch.float64, device=targets.device)
        rows = torch.searchsorted(self.cumulative, draws).clamp_max(len(self.cumulative) - 1)
        rows = torch.unique(rows)
        return rows, self.log_inclusion[rows]

    def _sampled(self, query: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        rows, log_inclusion = self.sample(targets)
        # One lookup for both: its gradient is a dense [N + 1, d] array each time.
        vectors = F.normalize(self.table(torch.cat([targets, rows + 1])), dim=-1)
        positives, negatives = vectors[: len(targets)], vectors[len(targets) :]
        positive = (query * positives).sum(dim=-1, keepdim=True)
        negative = torch.addmm(-log_inclusion, query, negatives.T)
        # ``rows`` is sorted: finding the targets in it is cheaper than a [P, sampled] mask.
        place = torch.searchsorted(rows, targets - 1).clamp_max(len(rows) - 1)
        hit = torch.nonzero(rows[place] == targets - 1).squeeze(1)
        negative[hit, place[hit]] = -torch.inf
        return torch.cat([positive, negative], dim=1), torch.zeros_like(targets)
