"""The search of the demo's settings: the same budget for all, no setting twice, decided by seed."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.demo_search import (
    CHANGES,
    GRID,
    START,
    Trial,
    best,
    budget,
    changed,
    demo_toml,
    markdown,
    propose,
)
from session_rec.config import parse_config
from session_rec.demo import MODELS
from training.fitters import model_config
from training.train import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
TUNABLE = [kind for kind in GRID if kind != "popularity"]


def trial(kind, number, settings, hr20=0.5, mrr20=0.2):
    return Trial(kind, number, settings, 0.5, hr20, mrr20, 1.0)


def test_every_model_of_the_demo_has_the_same_budget():
    # Of three of the others, with their settings (tests/session_rec/test_demo.py).
    assert [kind for kind in MODELS if kind != "two-stage"] == list(GRID) == list(START)
    assert {budget(kind) for kind in TUNABLE} == {8}
    assert budget("popularity") == 1


@pytest.mark.parametrize("kind", GRID)
def test_the_start_is_on_the_grid_and_all_of_the_grid_is_allowed(kind):
    fields = model_config(kind)
    assert set(START[kind]) == set(GRID[kind])
    for name, values in GRID[kind].items():
        assert START[kind][name] in values and len(set(values)) == len(values) > 1
        for value in values:
            parse_config({**START[kind], name: value}, fields, kind)


@pytest.mark.parametrize("kind", GRID)
def test_the_start_is_the_default_but_for_epochs_and_blocks(kind):
    defaults = model_config(kind)().model_dump()
    differ = {name for name, value in START[kind].items() if value != defaults[name]}
    # The demo's search began when two blocks were the default.
    assert differ <= {"epochs", "n_layers"}


@given(
    st.sampled_from(TUNABLE),
    st.lists(st.floats(0, 1), min_size=8, max_size=8),
    st.integers(0, 2**32),
)
def test_each_trial_changes_a_little_of_the_best_and_repeats_none(kind, figures, seed):
    done = []
    for number, hr20 in enumerate(figures, 1):
        settings = propose(kind, done, seed)
        assert settings == propose(kind, done, seed)
        assert settings not in [t.settings for t in done]
        if done:
            highest = max(t.hr20 + t.mrr20 for t in done)
            top = next(t for t in done if t.hr20 + t.mrr20 == highest)
            differ = {n for n in settings if settings[n] != top.settings[n]}
            assert 1 <= len(differ) <= CHANGES
            assert all(settings[n] in GRID[kind][n] for n in settings)
        done.append(trial(kind, number, settings, hr20))


def test_a_grid_that_is_used_up_is_an_error():
    done = [
        trial("session-popularity", i, {"decay": decay})
        for i, decay in enumerate(GRID["session-popularity"]["decay"], 1)
    ]
    with pytest.raises(ValueError, match="all 8 settings"):
        propose("session-popularity", done, 1)


def test_the_best_is_the_highest_sum_and_the_earlier_of_equals():
    a = trial("session-popularity", 1, {"decay": 0.8}, 0.5, 0.25)
    b = trial("session-popularity", 2, {"decay": 0.7}, 0.25, 0.5)
    c = trial("session-popularity", 3, {"decay": 0.6}, 0.5, 0.5)
    assert best([a, b]) is a and best([b, a]) is a
    assert best([a, b, c]) is c


def test_a_written_config_is_read_back_as_it_was_chosen():
    settings = {**START["item2vec"], "score_with": "both", "alpha": 0.025}
    text = demo_toml("item2vec", settings, trial("item2vec", 3, settings))
    assert "trial 3 of 8" in text
    config = parse_config(tomllib.loads(text), TrainConfig, "test")
    assert config.model == settings
    assert config.out == Path("runs/demo/models/item2vec")
    assert "Nothing to tune" in demo_toml("popularity", {}, trial("popularity", 1, {}))


@pytest.mark.parametrize("kind", GRID)
def test_the_committed_configs_hold_what_was_searched(kind):
    text = (ROOT / "configs" / "demo" / f"{kind}.toml").read_text("utf-8")
    model = parse_config(tomllib.loads(text), TrainConfig, kind).model
    assert set(model) == set(GRID[kind])
    assert all(value in GRID[kind][name] for name, value in model.items())


def test_the_table_names_what_differs_and_marks_the_chosen():
    first = trial("session-popularity", 1, {"decay": 0.8}, 0.3581, 0.2)
    second = trial("session-popularity", 2, {"decay": 0.7}, 0.3582, 0.2)
    assert changed(first.settings, START["session-popularity"]) == "the start"
    table = markdown([first, second], [trial("session-popularity", 0, {"decay": 0.7}, 0.4, 0.25)])
    assert "| session-popularity | 40.00 | 25.00 | 1 |" in table
    assert "| session-popularity | 1 | the start | 35.81 | 20.00 | 1.0 |" in table
    assert "| session-popularity | **2** | decay=0.7 | **35.82** | **20.00** | 1.0 |" in table
