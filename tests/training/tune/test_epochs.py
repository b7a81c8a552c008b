"""Trainings that validate after each epoch are stopped where they fall behind."""

from __future__ import annotations

import optuna
import pytest

from session_rec.config import parse_config
from training.transformer import loop
from training.tune import epochs as epochs_module
from training.tune import job
from training.tune.config import TuneConfig
from training.tune.epochs import EpochWatch, OutOfTime
from training.two_stage import fit as two_stage_fit

from .conftest import write_sessions

#: a to f go round: what comes next is certain, once learned.
ROUND = ["abcdef", "cdefab", "efabcd", "bcdefa"] * 15
TINY = {
    "d_model": 8,
    "n_heads": 2,
    "n_layers": 1,
    "max_length": 6,
    "epochs": 4,
    "batch_size": 16,
    "learning_rate": 0.03,
    "item_start": "random",
    "dropout_embedding": 0.0,
    "threads": 1,
}
#: The default learns; of the others, drawn on a logarithmic scale, most hardly move.
RATES = {"learning_rate": {"low": 1e-9, "high": 0.03, "log": True}}


def search(path, out, models, **settings):
    config = parse_config({"models": models, **settings}, TuneConfig, "tune.toml")
    return job.tune(path, out, config)


@pytest.fixture(scope="module")
def circle(tmp_path_factory):
    return write_sessions(tmp_path_factory.mktemp("circle") / "shop.parquet", ROUND)


def test_a_hopeless_transformer_is_pruned_half_way_and_the_best_is_not(circle, tmp_path):
    model = {"settings": TINY, "space": RATES}
    (found,) = search(
        circle, tmp_path / "out", {"transformer": model}, trials=3, prune_after=1, validation=0.1
    ).models
    pruned = [t for t in found.trials if t.state == "pruned"]
    hopeless = [t for t in found.trials if t.values["learning_rate"] < 1e-3]
    assert hopeless and all(t in pruned for t in hopeless)
    assert all("after epoch 2 of 4" in t.reason for t in pruned)
    assert all(t.score is None for t in pruned)
    assert found.best.number == 1 and found.best.score > 0.9
    assert not list((tmp_path / "out").glob("trials/*"))


def test_a_transformer_that_was_stopped_goes_on_from_its_checkpoint(circle, tmp_path, monkeypatch):
    model = {"settings": TINY, "space": RATES}
    settings = {"models": {"transformer": model}, "trials": 1, "validation": 0.1}
    whole = search(circle, tmp_path / "whole", **settings)
    steps = []
    step = loop.TrainingRun._step

    def stopped(run, which):
        steps.append(run.state.step)
        if len(steps) == run.steps_per_epoch * 3:
            raise KeyboardInterrupt
        return step(run, which)

    monkeypatch.setattr(loop.TrainingRun, "_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        search(circle, tmp_path / "out", **settings)
    report = search(circle, tmp_path / "out", **settings)
    assert report.models[0].trials[0].score == whole.models[0].trials[0].score
    # The third epoch was not finished: its steps, and no others, were taken twice.
    twice = {s for s in steps if steps.count(s) > 1}
    per_epoch = len(steps) - len(twice)
    assert sorted(set(steps)) == list(range(per_epoch))
    assert twice == set(range(per_epoch // 2, per_epoch // 4 * 3))


def test_parts_of_a_two_stage_model_are_trained_once_for_all_trials(circle, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(
        two_stage_fit, "fit_reranker", _counting(two_stage_fit.fit_reranker, "reranker", trained)
    )
    from training import fitters

    kind, fit = fitters._FITTERS["vmis-knn"]
    monkeypatch.setitem(fitters._FITTERS, "vmis-knn", (kind, _counting(fit, "part", trained)))
    model = {
        "settings": {"parts": {"vmis-knn": {}}, "epochs": 2, "holdout": 0.2},
        "space": {"hidden": {"choices": [32, 4, 8]}},
    }
    (found,) = search(
        circle, tmp_path / "out", {"two-stage": model}, trials=3, validation=0.1
    ).models
    assert trained.count("part") == 3  # without the newest slice, without two, and on all
    assert trained.count("reranker") == len({t.values["hidden"] for t in found.trials}) > 1


def _counting(call, name, calls):
    def counted(*arguments, **named):
        calls.append(name)
        return call(*arguments, **named)

    return counted


class FakeTrial:
    """Records what it is told; ``hopeless`` at these quarters."""

    def __init__(self, *hopeless):
        self.told, self.hopeless = {}, hopeless

    def report(self, value, step):
        self.told[step] = value

    def should_prune(self):
        return max(self.told) in self.hopeless


def history(values):
    return [{"epoch": float(e), "loss": 1.0, "mrr20": v, "hr20": 1.0} for e, v in enumerate(values)]


def watch(trial, epochs, prune=True, deadline=None, metric="mrr@20"):
    return EpochWatch(trial, epochs, metric, prune=prune, deadline=deadline, say=lambda text: None)


@pytest.mark.parametrize(
    ("epochs", "told"),
    [
        # The first epoch at whose end a quarter, a half, three quarters are over.
        (8, {1: 0.2, 2: 0.4, 3: 0.6}),
        (4, {1: 0.1, 2: 0.2, 3: 0.3}),
        (5, {1: 0.2, 2: 0.3, 3: 0.4}),
        (2, {1: 0.1, 2: 0.1, 3: 0.2}),
        (1, {1: 0.1, 2: 0.1, 3: 0.1}),
    ],
)
def test_trainings_are_compared_at_quarters_of_their_epochs(epochs, told):
    trial = FakeTrial()
    follow = watch(trial, epochs)
    whole = history([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8][:epochs])
    for e in range(epochs):
        follow(whole[: e + 1])
    assert trial.told == told


def test_the_metric_that_trials_are_compared_by_is_told():
    trial = FakeTrial()
    watch(trial, 1, metric="mean")(history([0.5]))
    assert trial.told[1] == 0.75


def test_a_training_ends_where_it_falls_behind_unless_pruning_is_off():
    with pytest.raises(optuna.TrialPruned, match="after epoch 4 of 8"):
        watch(FakeTrial(2), 8).catch_up(history([0.1] * 6))
    watch(FakeTrial(2), 8, prune=False)(history([0.1] * 6))


def test_a_training_ends_after_the_epoch_in_which_the_time_is_over(monkeypatch):
    monkeypatch.setattr(epochs_module.time, "monotonic", lambda: 10.0)
    watch(FakeTrial(), 8, deadline=11.0)(history([0.1]))
    with pytest.raises(OutOfTime):
        watch(FakeTrial(), 8, deadline=9.0)(history([0.1]))
    # What has ended has a score.
    watch(FakeTrial(), 1, deadline=9.0)(history([0.1]))
    watch(FakeTrial(), 8, deadline=9.0).catch_up(history([0.1]))
