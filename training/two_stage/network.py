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

#: Candidates looked at together: bounds memory.
_ROWS = 1 << 16
#: Added to the deviations that features are divided by, of which some are 0.
_LEAST_SCALE = 1e-6


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
        return _order_of_first_part(data.features.shape[1], config.hidden)
    mean, scale = _mean_and_scale(data.features)
    with torch_settings(1):
        torch.manual_seed(config.seed)
        network = _Network(len(mean), config.hidden)
        _optimise(network, data, mean, scale, config)
        # What was the same for every candidate taught nothing: its weights are those it began
        # with, and what it is later would be taken for millions of deviations.
        same = torch.from_numpy(scale <= 2 * _LEAST_SCALE)
        with torch.no_grad():
            network.linear.weight[:, same] = 0
            network.hidden.weight[:, same] = 0
    return Reranker(
        mean,
        scale,
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


def _mean_and_scale(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    # A part at a time: in float64 all of them would take twice the memory that they have.
    starts = range(0, len(features), _ROWS)
    total = np.zeros(features.shape[1])
    for i in starts:
        total += features[i : i + _ROWS].sum(axis=0, dtype=np.float64)
    mean = total / len(features)
    squares = np.zeros(features.shape[1])
    for i in starts:
        squares += ((features[i : i + _ROWS] - mean) ** 2).sum(axis=0)
    scale = np.sqrt(squares / len(features)) + _LEAST_SCALE
    return mean.astype(np.float32), scale.astype(np.float32)


def _optimise(
    network: _Network,
    data: RerankingData,
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    config: TwoStageConfig,
) -> None:
    optimizer = torch.optim.Adam(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    steps = config.epochs * -(-len(data.answers) // config.batch_size)
    course = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=max(steps, 2)
    )
    for epoch in range(config.epochs):
        order = np.random.default_rng([config.seed, epoch]).permutation(len(data.answers))
        for start in range(0, len(order), config.batch_size):
            features, there, answers = data.batch(order[start : start + config.batch_size])
            scores = network(torch.from_numpy((features - mean) / scale))
            scores = scores.masked_fill(torch.from_numpy(~there), -torch.inf)
            loss = F.cross_entropy(scores, torch.from_numpy(answers))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            course.step()


def _array(weights: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(weights.detach().numpy())
