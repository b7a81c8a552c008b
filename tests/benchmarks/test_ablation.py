"""The ablation's levers: the base is the product's own training, and a lever does what it says."""

import json

import numpy as np
import pytest
import torch

from benchmarks.ablation import ablation, train_with
from benchmarks.levers import levers
from benchmarks.levers.lever import Lever, LeverRun
from benchmarks.levers.losses import Gbce, HardestNegatives, LabelSmoothing
from benchmarks.levers.readouts import Copying
from session_rec.errors import ConfigError
from session_rec.ragged import Ragged
from training.transformer import loop
from training.transformer.config import TransformerConfig
from training.transformer.model import weights
from training.transformer.reporting import Reporter
from training.transformer.runtime import StopRequest, torch_settings

ITEMS = 30
TINY = TransformerConfig(
    d_model=8, n_heads=2, epochs=2, batch_size=16, num_negatives=20, max_length=6, threads=1
)
LEVERS = levers(
    {"vector_size": 8, "epochs": 2},
    {"parts": {"sequential-rules": {}, "popularity": {}}, "holdout": 0.3, "epochs": 1},
)


def walks(count, seed):
    """Sessions that step to one of the next two items of a ring."""
    rng = np.random.default_rng(seed)
    steps = [rng.integers(1, 3, rng.integers(2, 10)) for _ in range(count)]
    return Ragged.from_lists(
        [((rng.integers(ITEMS) + np.cumsum(s)) % ITEMS).tolist() for s in steps]
    )


def test_the_base_is_the_training_of_the_product(tmp_path):
    sessions = walks(60, 1), walks(10, 2)
    patient = TINY.model_copy(update={"patience": 10_000})
    product = loop.fit(*sessions, ITEMS, patient, run_dir=tmp_path / "product")
    with torch_settings(1), StopRequest() as stop:
        run = LeverRun(Lever(), *sessions, ITEMS, patient, tmp_path / "lever", validated=99)
        with Reporter(tmp_path / "lever", None, run.total_steps, run.state) as reporter:
            run.train(stop, reporter)
    # The losses to the bit; validation adds the same numbers up in another order.
    for mine, its in zip(run.state.history, product.history, strict=True):
        assert mine["loss"] == its["loss"]
        assert mine == pytest.approx(its)
    row = train_with(Lever, *sessions, ITEMS, TINY, tmp_path / "answers")
    assert [row["hr20"], row["mrr20"]] == [mine["hr20"], mine["mrr20"]]


#: Those that are more than other settings, which have tests of their own.
CHANGES = [name for name, make in LEVERS.items() if type(make()) is not Lever]


def epoch_of(lever, place):
    changed = TINY.model_dump() | dict(lever.settings) | {"d_model": TINY.d_model}
    config = TransformerConfig.model_validate(changed)
    with torch_settings(1):
        run = LeverRun(lever, walks(40, 1), walks(10, 2), ITEMS, config, place, validated=99)
        return run, [run._step(which) for which in run._batches(0)], run.validate()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return epoch_of(Lever(), tmp_path_factory.mktemp("base"))[0]


@pytest.mark.parametrize("name", CHANGES)
def test_a_lever_trains_another_model(name, base, tmp_path):
    run, loss, found = epoch_of(LEVERS[name](), tmp_path)
    assert np.isfinite(loss).all()
    assert 0 < found["mrr20"] <= found["hr20"] <= 1
    mine, other = weights(run.model), weights(base.model)
    shared = [n for n in other if n in mine and mine[n].shape == other[n].shape]
    assert any(not torch.equal(mine[n], other[n]) for n in shared)


def test_teachers_are_asked_once_for_all_levers_that_weigh_them(tmp_path):
    sessions = walks(60, 1), walks(10, 2)
    rows = {}
    for name in ("base", "distilled-.3", "distilled-.8"):
        rows[name] = train_with(LEVERS[name], *sessions, ITEMS, TINY, tmp_path)
        answers = sorted((tmp_path / "teacher").glob("*"))
        if name == "distilled-.3":
            written = [path.stat().st_mtime_ns for path in answers]
    assert [path.name for path in answers] == [f"answers-{k}-of-4.safetensors" for k in range(1, 5)]
    assert [path.stat().st_mtime_ns for path in answers] == written
    assert len({row["mrr20"] for row in rows.values()}) == 3


LOGITS = np.array([[1.0, 0.5, -np.inf, 2.0], [0.0, 3.0, -1.0, 0.25]])


@pytest.mark.parametrize(
    ("lever", "expected"),
    [
        # Cross entropy against the two best negatives.
        (
            HardestNegatives(2),
            lambda r: np.log(sum(np.exp(x) for x in [r[0], *sorted(r[1:])[-2:]])) - r[0],
        ),
        # A tenth of the target's probability, evenly over all items that are in the sample.
        (
            LabelSmoothing(0.1),
            lambda r: sum(
                (0.9 * (i == 0) + 0.1 / np.isfinite(r).sum()) * (np.log(np.exp(r).sum()) - x)
                for i, x in enumerate(r)
                if np.isfinite(x)
            ),
        ),
        # Equation 9 of gSASRec's paper with a rate of 3 in 29 and t = .75.
        (
            Gbce(0.75),
            lambda r: (
                3 / 29 * (0.75 * (1 - 29 / 3) + 29 / 3) * np.log1p(np.exp(-r[0]))
                + sum(np.log1p(np.exp(x)) for x in r[1:])
            ),
        ),
    ],
    ids=["hardest", "smooth", "gbce"],
)
def test_losses_are_their_formulas(lever, expected, tmp_path):
    run = epoch_of(lever, tmp_path)[0]
    (task,) = run.model.heads[0].prediction_task_dict.values()
    got = task.losses(torch.from_numpy(LOGITS), torch.zeros(2, dtype=torch.long))
    assert got.tolist() == pytest.approx([expected(row) for row in LOGITS])


def test_a_repeat_gate_gives_probabilities_and_attends_to_the_session_only(tmp_path):
    lever = Copying(gate=True)
    run = epoch_of(lever, tmp_path)[0]
    contexts = Ragged.from_lists([[3, 7, 3, 5]])
    scored = run._scores(contexts, np.array([0]))[0]
    assert np.exp(scored).sum() == pytest.approx(1, abs=1e-5)
    with torch.no_grad():
        lever.copying.gate.bias.fill_(-1e4)  # the gate is shut: what is left is the softmax
    without = run._scores(contexts, np.array([0]))[0]
    with torch.no_grad():
        lever.copying.gate.bias.fill_(1e4)
    only = run._scores(contexts, np.array([0]))[0]
    assert np.exp(without).sum() == pytest.approx(1, abs=1e-5)
    assert sorted(np.argsort(-only)[:3].tolist()) == [3, 5, 7]
    assert np.exp(only[[3, 5, 7]]).sum() == pytest.approx(1, abs=1e-5)


def test_from_file_to_line(write_sessions, tmp_path):
    data = write_sessions([("train", [1, 2, 3])] * 40 + [("test", [1, 2])])
    results, config = tmp_path / "ablation.jsonl", tmp_path / "recipes.toml"
    config.write_text("[transformer]\nd_model = 8\nn_heads = 2\nepochs = 1\nthreads = 1\n")
    ablation(data, "base,hardest-100", config, 1, ["d_model=4"], 1.0, results)
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(row["lever"], row["set"]) for row in rows] == [
        (name, {"d_model": "4"}) for name in ("base", "hardest-100")
    ]
    # Three items: each is among the best twenty, and the next is learnt or not.
    assert all(row["hr20"] == 100 and 33 <= row["mrr20"] <= 100 for row in rows)
    with pytest.raises(ConfigError, match="unknown lever 'gate': choose of base, "):
        ablation(data, "gate", config, results=results)
    with pytest.raises(ConfigError, match="d_modell"):
        ablation(data, "base", config, settings=["d_modell=4"], results=results)
    with pytest.raises(ConfigError, match="leave its teacher out"):
        ablation(data, "base", config, settings=["teacher.kind=popularity"], results=results)
    with pytest.raises(ConfigError, match="'repeat_gate' is not an override: write key=value"):
        ablation(data, "base", config, settings=["repeat_gate"], results=results)
