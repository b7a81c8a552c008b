"""Fits the re-ranker: listwise softmax over the candidates of each question."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from session_rec.predictors.candidates import PART_FEATURES
from session_rec.predictors.reranker import Reranker
from training.transformer.runtime import torch_settings
from training.two_stage.config import TwoStageConfig
from training.two_stage.questions import RerankingData


class _Network(nn.Module):
    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1, bias=False)
        self.hidden = nn.Linear(features, hidden)
        self.output = nn.Linear(hidden, 1, bias=False)
        # It starts as a linear model; the units come in where they help.
        nn.init.zeros_(self.output.weight)

    def forward(self, z: Tensor) -> Tensor:
        scores: Tensor = self.linear(z) + self.output(torch.tanh(self.hidden(z)))
        return scores.squeeze(-1)


def fit_reranker(data: RerankingData, config: TwoStageConfig) -> Reranker:
    """The network whose softmax over each question's candidates best finds the answer.

    Where no answer is among the candidates there is nothing to learn from: it keeps the order of
    the first part.
    """
    if len(data.answers) == 0:
        return _order_of_first_part(data.features.shape[2], config.hidden)
    there = np.arange(data.features.shape[1]) < data.counts[:, None]
    known = data.features[there].astype(np.float64)
    mean, scale = known.mean(axis=0), known.std(axis=0) + 1e-6
    mean32, scale32 = mean.astype(np.float32), scale.astype(np.float32)
    with torch_settings(1):
        torch.manual_seed(config.seed)
        network = _Network(len(mean), config.hidden)
        z = torch.from_numpy((data.features - mean32) / scale32)
        absent = torch.from_numpy(~there)
        answers = torch.from_numpy(data.answers)
        _optimise(network, z, absent, answers, config)
    return Reranker(
        mean32,
        scale32,
        _array(network.linear.weight[0]),
        _array(network.hidden.weight.T),
        _array(network.hidden.bias),
        _array(network.output.weight[0]),
    )


def _order_of_first_part(features: int, hidden: int) -> Reranker:
    zeros = np.zeros(features, np.float32)
    linear = zeros.copy()
    linear[PART_FEATURES.index("reciprocal_rank")] = 1
    return Reranker(
        zeros,
        zeros + 1,
        linear,
        np.zeros((features, hidden), np.float32),
        np.zeros(hidden, np.float32),
        np.zeros(hidden, np.float32),
    )


def _optimise(
    network: _Network, z: Tensor, absent: Tensor, answers: Tensor, config: TwoStageConfig
) -> None:
    optimizer = torch.optim.Adam(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    steps = config.epochs * -(-len(answers) // config.batch_size)
    course = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=max(steps, 2)
    )
    for epoch in range(config.epochs):
        order = np.random.default_rng([config.seed, epoch]).permutation(len(answers))
        for start in range(0, len(order), config.batch_size):
            which = torch.from_numpy(order[start : start + config.batch_size])
            scores = network(z[which]).masked_fill(absent[which], -torch.inf)
            loss = F.cross_entropy(scores, answers[which])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            course.step()


def _array(weights: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(weights.detach().numpy())
