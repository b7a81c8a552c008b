"""Searches on a shop whose best settings are known beforehand."""

from __future__ import annotations

import fcntl
import json
import shutil
from pathlib import Path

import pytest

from benchmarks.recipes import read_recipes
from session_rec.config import parse_config
from session_rec.errors import ConfigError, DataError, UserError
from training.recipe_file import load_training
from training.tune import job, runner
from training.tune.config import TuneConfig

from .conftest import BEST_DECAY, PLANTED, write_sessions

DECAY = {
    "kind": "session-popularity",
    "settings": {"decay": 0.3},
    "space": {"decay": {"low": 0.2, "high": 1.0}},
}


def search(path, out, models, **settings):
    config = parse_config({"models": models, **settings}, TuneConfig, "tune.toml")
    return job.tune(path, out, config)


def decays(report):
    return [t.values["decay"] for t in report.models[0].trials]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A search of 9 trials on the planted shop: its report, and where it is kept."""
    folder = tmp_path_factory.mktemp("found")
    path = write_sessions(folder / "shop.parquet", PLANTED)
    return search(path, folder / "out", {"decay": DECAY}, trials=9), folder / "out"


def test_a_planted_optimum_is_found(found):
    (model,) = found[0].models
    assert BEST_DECAY[0] < model.best.values["decay"] < BEST_DECAY[1]
    for t in model.trials:
        inside = BEST_DECAY[0] < t.values["decay"] < BEST_DECAY[1]
        assert (t.score == model.best.score) == inside
    assert model.best.score > model.default.score


def test_the_first_trial_is_the_default(planted, tmp_path):
    models = {"decay": DECAY, "sequential-rules": {}, "popularity": {}}
    report = search(planted, tmp_path / "out", models, trials=1)
    first = [m.trials[0] for m in report.models]
    assert [t.values for t in first] == [
        {"decay": 0.3},
        {"steps": 10, "rules_per_item": 100, "newest_n": 5, "decay": 0.5},
        {},
    ]
    assert all(m.best == m.default == m.trials[0] for m in report.models)


def test_the_score_is_that_of_the_metric_over_every_position(planted, tmp_path):
    # 8 % of 100 sessions: the last 8, "ccccddd" once in 4.
    def mrr(decay):
        report = search(
            planted,
            tmp_path / f"{decay}",
            {"decay": {"kind": "session-popularity", "settings": {"decay": decay}}},
            trials=1,
        )
        return report.models[0].best.figures["mrr@20"]

    # Only the last question of "aaba", 6 of 30, is another between .55 and .7: rank 2, or 1.
    assert mrr(0.7) - mrr(0.55) == pytest.approx(6 * 0.5 / 30)


def test_every_model_gets_as_many_trials_and_one_without_settings_gets_one(planted, tmp_path):
    models = {"decay": DECAY, "sequential-rules": {}, "popularity": {}}
    report = search(planted, tmp_path / "out", models, trials=2)
    assert [len(m.trials) for m in report.models] == [2, 2, 1]


def test_a_larger_budget_goes_on_with_the_search(found, planted, tmp_path):
    search(planted, tmp_path / "grown", {"decay": DECAY}, trials=3)
    grown = search(planted, tmp_path / "grown", {"decay": DECAY}, trials=9)
    assert decays(grown) == decays(found[0])
    assert len(set(decays(grown))) == 9


def test_another_seed_draws_other_settings(found, planted, tmp_path):
    other = search(planted, tmp_path / "other", {"decay": DECAY}, trials=2, seed=2)
    first, second = decays(other)
    assert first == decays(found[0])[0] and second not in decays(found[0])


def test_settings_that_were_tried_are_not_run_again(planted, tmp_path, monkeypatch):
    ran = []
    score = runner.score_settings

    def counted(kind, settings, *rest, **named):
        ran.append(settings.decay)
        return score(kind, settings, *rest, **named)

    monkeypatch.setattr(runner, "score_settings", counted)
    two = {**DECAY, "space": {"decay": {"choices": [0.3, 0.7]}}}
    report = search(planted, tmp_path / "out", {"decay": two}, trials=4)
    assert sorted(ran) == [0.3, 0.7]
    assert len(report.models[0].trials) == 4
    assert report.models[0].best.values == {"decay": 0.7}


@pytest.mark.parametrize("metric", ["hr@20", "mrr@20", "mean"])
def test_the_score_is_the_metric_that_was_asked_for(metric, planted, tmp_path):
    report = search(planted, tmp_path / "out", {"decay": DECAY}, trials=1, metric=metric)
    best = report.models[0].best
    hr, mrr = best.figures["hr@20"], best.figures["mrr@20"]
    assert mrr < hr
    assert best.score == {"hr@20": hr, "mrr@20": mrr, "mean": (hr + mrr) / 2}[metric]


def test_slices_are_averaged(tmp_path):
    # The newest 8 sessions teach nothing about d; those before all go from a to b.
    path = write_sessions(tmp_path / "shop.parquet", ["ab"] * 92 + ["da"] * 8)
    one, two = (
        search(path, tmp_path / f"{n}", {"sequential-rules": {}}, trials=1, slices=n).models[0]
        for n in (1, 2)
    )
    # d is unknown, so the popular items are shown: of a and b, alike, none is ahead.
    assert one.best.figures["mrr@20"] == 0.5
    assert two.best.figures["mrr@20"] == 0.75


def test_a_trial_that_fails_is_told_why_and_the_search_goes_on(planted, tmp_path, monkeypatch):
    score = runner.score_settings

    def failing(kind, settings, *rest, **named):
        if settings.decay > 0.6:
            raise UserError("the loss became nan")
        return score(kind, settings, *rest, **named)

    monkeypatch.setattr(runner, "score_settings", failing)
    report = search(planted, tmp_path / "out", {"decay": DECAY}, trials=5)
    (model,) = report.models
    assert len(model.trials) == 5
    failed = [t for t in model.trials if t.state == "failed"]
    assert failed and all(t.reason == "the loss became nan" for t in failed)
    assert {t.number for t in failed} == {t.number for t in model.trials if t.values["decay"] > 0.6}
    assert model.best.values["decay"] <= 0.6


def test_the_best_settings_load_in_train_and_in_the_benchmarks(planted, tmp_path):
    models = {"decay": DECAY, "sequential-rules": {"settings": {"steps": 3}}, "popularity": {}}
    report = search(planted, tmp_path / "out", models, trials=2)
    best = tmp_path / "out" / "best.toml"
    for recipe, model in zip(read_recipes(best, [], None, True), report.models, strict=True):
        kind, training = load_training(model.search.name, best, ["sessions=x"])
        assert kind == recipe.kind == model.search.kind
        wanted = model.search.settings(model.best.values)
        assert recipe.settings == wanted == type(wanted)(**training.model)
        assert str(training.out) == f"runs/models/{model.search.name}"
    assert read_recipes(best, ["sequential-rules"], None, True)[0].settings.steps == 3


def test_the_report_tells_of_every_trial(found):
    report, out = found
    told = json.loads((out / "report.json").read_text())
    assert told == json.loads(json.dumps(report.to_dict()))
    (model,) = told["models"]
    assert (model["trials"], model["done"], model["failed"], model["pruned"]) == (9, 9, 0, 0)
    assert [t["values"]["decay"] for t in model["all_trials"]] == decays(report)
    assert model["settings"] == model["best"]["values"]
    assert model["importances"] == {"decay": 1.0}
    assert told["protocol"]["sessions"] == [[92, 8]]


@pytest.fixture
def begun(found, tmp_path):
    """A copy of a search that was begun."""
    return Path(shutil.copytree(found[1], tmp_path / "out"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 2}, "search of decay with another seed"),
        ({"metric": "hr@20"}, "another metric"),
        ({"validation": 0.1}, "another validation"),
        ({"models": {"decay": {**DECAY, "settings": {"decay": 0.4}}}}, "another settings"),
        (
            {"models": {"decay": {**DECAY, "space": {"decay": {"low": 0.3, "high": 1.0}}}}},
            "another space",
        ),
    ],
)
def test_another_search_in_the_same_place_is_refused(change, words, planted, begun):
    with pytest.raises(ConfigError, match=words):
        search(planted, begun, **{"models": {"decay": DECAY}, **change})


def test_other_data_in_the_same_place_is_refused(begun, tmp_path):
    other = write_sessions(tmp_path / "other.parquet", PLANTED[:-1])
    with pytest.raises(ConfigError, match="with another data"):
        search(other, begun, {"decay": DECAY})


def test_two_searches_do_not_share_a_place(planted, tmp_path):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another search is at work"):
            search(planted, tmp_path / "out", {"decay": DECAY}, trials=1)


@pytest.mark.parametrize("content", ["hello\n", '{"op_code":0}\nhalf\n{"op_code":0}\n', "1\n"])
def test_a_damaged_journal_is_said_in_one_sentence(content, planted, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.journal").write_text(content)
    with pytest.raises(DataError, match="is no journal of a search, or damaged"):
        search(planted, tmp_path / "out", {"decay": DECAY}, trials=1)


def test_without_optuna_one_sentence_says_so(planted, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"optuna is not installed.*session-rec\[tune\]"):
        search(planted, tmp_path / "out", {"decay": DECAY}, trials=1)


def test_no_trial_begins_once_the_minutes_are_over(planted, tmp_path, monkeypatch):
    # Each trial takes a minute by this clock.
    now = [0.0]
    score = runner.score_settings

    def slow(*arguments, **named):
        now[0] += 60
        return score(*arguments, **named)

    monkeypatch.setattr(runner, "score_settings", slow)
    monkeypatch.setattr(runner.time, "monotonic", lambda: now[0])
    models = {"decay": DECAY, "sequential-rules": {}}
    report = search(planted, tmp_path / "out", models, trials=9, minutes=1.5)
    assert [len(m.trials) for m in report.models] == [2, 2]
    assert [m.seconds for m in report.models] == [120, 120]
    # The first trial is what the others must beat: it always ends.
    report = search(planted, tmp_path / "short", models, trials=9, minutes=0.1)
    assert [len(m.trials) for m in report.models] == [1, 1]
