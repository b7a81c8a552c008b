"""What a session repeats: a gate between the items of the session and the whole catalog."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Below the smallest attention that float32 tells from none.
_TINY = 1e-30


class RepeatGate(nn.Module):
    """The next item's probability is (1 - g) softmax(scores) + g a: of the gate g in 0..1, and of
    the attention a over the items that stand in the session (RepeatNet, Ren et al. 2019).

    Both are of the hidden states alone. Other than in RepeatNet the softmax keeps the session's
    items, so that a gate at 0 is the model without it.

    Args:
        d_model: size of the hidden states.
        longest: positions that a session has at most.
    """

    def __init__(self, d_model: int, longest: int) -> None:
        super().__init__()
        self.key = nn.Linear(d_model, d_model)
        self.by_distance = nn.Parameter(torch.zeros(longest))
        self.gate = nn.Linear(d_model, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, -1.0)

    def forward(self, states: Tensor, row: Tensor, last: Tensor) -> Tensor:
        """float32 [P, L]: log(g / (1 - g)) + log(a) of the positions up to ``last``, -inf behind.

        ``states`` are float32 [B, L, d]; question p, int64 [P] each, stands at ``last[p]`` of
        session ``row[p]``.
        """
        hidden = states[row, last]
        match = (self.key(states) @ states.transpose(1, 2)) / states.shape[2] ** 0.5
        distance = last[:, None] - torch.arange(states.shape[1], device=states.device)
        read = match.transpose(1, 2)[row, last] + self.by_distance[distance.clamp_min(0)]
        log_attention = torch.log_softmax(read.masked_fill(distance < 0, -torch.inf), dim=1)
        weights: Tensor = self.gate(hidden) + log_attention
        return weights

    def losses(
        self, losses: Tensor, states: Tensor, ids: Tensor, row: Tensor, last: Tensor, labels: Tensor
    ) -> Tensor:
        """float32 [P, C]: -log of the labels' probability with the gate, of ``losses``, that
        without.

        ``ids`` are int64 [B, L], the items of the sessions; ``labels`` int64 [P, C].
        """
        weights = self(states, row, last)[:, None]
        match = (ids[row][:, None] == labels[:, :, None]) & torch.isfinite(weights)
        repeated = torch.where(match, weights.exp(), 0).sum(dim=2)
        # Where nothing repeats, the log of nothing must not reach the gradient.
        is_repeat = match.any(dim=2)
        log_repeated = torch.log(torch.where(is_repeat, repeated, 1.0).clamp_min(_TINY))
        gained = torch.where(is_repeat, torch.logaddexp(-losses, log_repeated), -losses)
        log_odds = self.gate(states[row, last])
        return -(gained + F.logsigmoid(-log_odds))


def with_repeats(scores: Tensor, weights: Tensor, ids: Tensor) -> Tensor:
    """Scores float32 [P, N + 1] whose softmax is that of ``scores`` with the gate.

    Those of items that are not in the session stay as they are. ``weights`` float32 [P, L] are
    what :class:`RepeatGate` gives for ids int64 [P, L].
    """
    total = torch.logsumexp(scores, dim=1, keepdim=True)
    added = torch.zeros_like(scores).scatter_add(1, ids, weights.exp())
    return torch.logaddexp(scores, total + torch.log(added))
