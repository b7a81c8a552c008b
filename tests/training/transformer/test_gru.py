"""The GRU against its published equations, and in the loop that trains the transformer too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from session_rec.ragged import Ragged
from training.transformer import loop
from training.transformer.batches import prefixes
from training.transformer.config import Gru4RecConfig
from training.transformer.forward import SequenceModelForward
from training.transformer.gru import GruBlock
from training.transformer.loop import TrainedSequenceModel, fit
from training.transformer.model import build_model, tr, weights
from training.transformer.validation import torch_scores

from .conftest import N_ITEMS, walks

NOTHING = Ragged.from_lists([])
Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def layer(inputs: Array, named: dict[str, Array]) -> Array:
    """Cho et al. 2014, with the reset gate behind the product, as cuDNN and torch have it.

    [L, d] -> [L, h]
    """
    w, u, b, c = (named[n] for n in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"))
    hidden, out = np.zeros(u.shape[1]), []
    for x in inputs:
        of_input, of_hidden = np.split(w @ x + b, 3), np.split(u @ hidden + c, 3)
        reset, update = (sigmoid(of_input[g] + of_hidden[g]) for g in (0, 1))
        candidate = np.tanh(of_input[2] + reset * of_hidden[2])
        hidden = (1 - update) * candidate + update * hidden
        out.append(hidden)
    return np.array(out)


@pytest.mark.parametrize("residual", [False, True])
def test_a_block_computes_the_published_equations(residual: bool) -> None:
    torch.manual_seed(0)
    config = Gru4RecConfig(d_model=6, hidden_size=5, n_layers=2, residual=residual)
    block = GruBlock(config).eval()
    named = {n: p.detach().double().numpy() for n, p in block.named_parameters()}
    inputs = np.random.default_rng(0).normal(size=(2, 9, 6))
    got = block(torch.from_numpy(inputs).float()).detach().numpy()
    for b in range(2):
        hidden = inputs[b]
        for number in range(2):
            prefix = f"layers.{number}."
            hidden = layer(
                hidden, {n.removeprefix(prefix): a for n, a in named.items() if prefix in n}
            )
        wanted = hidden @ named["projection.weight"].T + residual * inputs[b]
        np.testing.assert_allclose(got[b], wanted, atol=1e-6)


def test_the_model_is_transformers4recs_own_and_scores_every_row(tiny_gru: Gru4RecConfig) -> None:
    model = build_model(N_ITEMS, tiny_gru)
    assert type(model) is tr.Model
    contexts, _ = prefixes(walks(5, 0), tiny_gru.max_length)
    scores = torch_scores(model, contexts, tiny_gru)
    assert scores.shape == (len(contexts), N_ITEMS)
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() <= 1 / tiny_gru.temperature + 1e-4


def train(config: Gru4RecConfig, run_dir: Path) -> TrainedSequenceModel:
    return fit(walks(400, 0), walks(60, 1), N_ITEMS, config, run_dir=run_dir)


def same(a: TrainedSequenceModel, b: TrainedSequenceModel) -> bool:
    mine, other = weights(a.model), weights(b.model)
    return all(torch.equal(mine[name], other[name]) for name in other)


@pytest.fixture(scope="module")
def uninterrupted(
    tiny_gru: Gru4RecConfig, tmp_path_factory: pytest.TempPathFactory
) -> TrainedSequenceModel:
    return train(tiny_gru, tmp_path_factory.mktemp("whole"))


def test_it_learns_the_circle(uninterrupted: TrainedSequenceModel) -> None:
    assert uninterrupted.history[-1]["mrr20"] > 0.9
    assert uninterrupted.history[-1]["loss"] < uninterrupted.history[0]["loss"]


def test_it_learns_what_only_the_order_tells(tiny_gru: Gru4RecConfig, tmp_path: Path) -> None:
    """After 0, 1, 2 comes 3 and after 1, 0, 2 comes 4: the last item and the set are the same."""
    sessions = Ragged.from_lists([[0, 1, 2, 3], [1, 0, 2, 4]] * 100)
    trained = fit(sessions, NOTHING, 5, tiny_gru, run_dir=tmp_path)
    contexts = Ragged.from_lists([[0, 1, 2], [1, 0, 2]])
    assert torch_scores(trained.model, contexts, tiny_gru).argmax(axis=1).tolist() == [3, 4]


def test_a_run_that_ends_within_an_epoch_and_is_resumed_equals_the_uninterrupted_one(
    tiny_gru: Gru4RecConfig,
    tmp_path: Path,
    uninterrupted: TrainedSequenceModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = loop.TrainingRun._step

    def until_20(self: loop.TrainingRun, which: NDArray[np.int64]) -> float:
        if self.state.step == 20:
            raise MemoryError
        return step(self, which)

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(loop.TrainingRun, "_step", until_20)
        train(tiny_gru.model_copy(update={"checkpoint_minutes": 1e-9}), tmp_path)
    # 13 steps an epoch: step 20 lies within the second.
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000020-0001"]
    torch.rand(7)  # what the process drew before must not matter
    resumed = train(tiny_gru, tmp_path)
    assert same(resumed, uninterrupted)
    assert [h["mrr20"] for h in resumed.history] == [h["mrr20"] for h in uninterrupted.history]
    other = train(tiny_gru.model_copy(update={"seed": 2, "epochs": 1}), tmp_path / "other")
    assert not same(other, uninterrupted)


def test_every_dropout_can_be_switched_off_for_the_leakage_checks(tiny_gru: Gru4RecConfig) -> None:
    config = tiny_gru.model_copy(update={"dropout_embedding": 0.5, "dropout_output": 0.5})
    model = build_model(N_ITEMS, config.model_copy(update={"num_negatives": 0}))
    forward = SequenceModelForward(TrainedSequenceModel(model, [], config, N_ITEMS, 0.0))
    sessions = walks(20, 3).newest(config.max_length + 1)
    first, second = (
        forward.training(sessions, training_mode=mode, seed=seed).scores
        for mode, seed in ((True, 1), (False, 2))
    )
    np.testing.assert_array_equal(first, second)
