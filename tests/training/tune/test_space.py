"""What a setting may be, and that the spaces that are shipped fit their models."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_rec.config import parse_config
from session_rec.errors import ConfigError
from training.fitters import model_config, trainable_kinds
from training.tune.config import TuneConfig
from training.tune.searches import read_searches
from training.tune.space import Dimension
from training.tune.spaces import default_space


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "write low and high, or choices"),
        ({"low": 1}, "write low and high, or choices"),
        ({"low": 1, "high": 2, "choices": [1]}, "either low and high, or choices"),
        ({"choices": [1, 1]}, "stands among the choices twice"),
        ({"low": 2, "high": 2}, r"low \(2\) must be below high \(2\)"),
        ({"low": 0, "high": 2, "log": True}, "low must be above 0"),
        ({"low": 1, "high": 8, "log": True, "step": 1}, "there is no step"),
        ({"low": 1, "high": 2, "step": 0}, "must be above 0"),
        ({"low": 1, "high": 2, "step": 0.3}, "a whole number of steps"),
        ({"low": 1, "high": float("inf")}, "must be finite"),
        ({"low": 1, "hihg": 2}, "unknown key 'hihg'; the nearest known one is 'high'"),
    ],
)
def test_what_is_no_space_is_said_in_one_sentence(values, words):
    with pytest.raises(ConfigError, match=words):
        parse_config(values, Dimension, "the space")


def test_a_range_holds_its_ends_and_steps_only():
    halves = Dimension(low=0.0, high=2.0, step=0.5)
    assert [v for v in (-0.5, 0.0, 0.3, 1.5, 2.0, 2.5) if halves.holds(v)] == [0.0, 1.5, 2.0]
    assert not Dimension(low=0, high=1).holds(True)
    assert not Dimension(low=0, high=1).holds("0")


@settings(deadline=None)
@given(
    kind=st.sampled_from(trainable_kinds()),
    has_clock=st.booleans(),
    sessions=st.integers(1, 10**8),
)
def test_a_shipped_space_holds_the_defaults_and_values_that_the_model_takes(
    kind, has_clock, sessions
):
    defaults = model_config(kind)()
    for name, dimension in default_space(kind, has_clock, sessions).items():
        assert dimension.holds(getattr(defaults, name)), (kind, name)
        for value in dimension.choices or dimension.bounds:
            parse_config({name: value}, model_config(kind), kind)


def test_every_kind_with_settings_has_a_space():
    for kind in trainable_kinds():
        assert bool(default_space(kind, True, 100)) == bool(model_config(kind).model_fields)


def test_without_a_clock_sessions_age_by_their_number():
    for kind in ("vmis-knn", "transformer", "gru4rec"):
        timed, counted = (default_space(kind, clock, 3200) for clock in (True, False))
        assert "recency_half_life_days" in timed and "recency_half_life_days" not in counted
        assert counted["recency_half_life_sessions"].choices[:3] == (0.0, 100.0, 200.0)


def searches(names=None, has_clock=True, **models):
    config = parse_config({"models": models}, TuneConfig, "tune.toml")
    return read_searches(config, names, has_clock, 1000)


def test_what_is_given_stays_as_it_is():
    (search,) = searches(fast={"kind": "vmis-knn", "settings": {"neighbours": 70}})
    assert "neighbours" not in search.space and "own_boost" in search.space
    assert search.settings(search.start).neighbours == 70
    assert search.settings({**search.start, "own_boost": 1.5}).own_boost == 1.5


def test_a_space_of_ones_own_replaces_the_shipped_one_and_starts_at_what_is_given():
    table = {
        "settings": {"decay": 0.3, "steps": 4},
        "space": {"decay": {"low": 0.1, "high": 0.9}, "newest_n": {"choices": [5, 1]}},
    }
    (search,) = searches(**{"sequential-rules": table})
    assert search.start == {"decay": 0.3, "newest_n": 5}
    settings = search.settings({"decay": 0.7, "newest_n": 1})
    assert (settings.decay, settings.newest_n, settings.steps) == (0.7, 1, 4)
    assert search.table({"decay": 0.7, "newest_n": 1}) == {"decay": 0.7, "newest_n": 1, "steps": 4}


def test_settings_of_a_part_are_searched_and_the_other_parts_stay():
    knn = {"parts.vmis-knn.neighbours": {"low": 10, "high": 100}}
    (search,) = searches(**{"two-stage": {"space": knn}})
    assert search.start == {"parts.vmis-knn.neighbours": 50}
    settings = search.settings({"parts.vmis-knn.neighbours": 20})
    assert settings.part("vmis-knn")[1].neighbours == 20
    assert list(settings.parts) == list(model_config("two-stage")().parts)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "oracle"}, "unknown model kind 'oracle'"),
        ({"settings": {"neighbors": 3}}, "nearest known one is 'neighbours'"),
        ({"space": {"neighbors": {"low": 1, "high": 2}}}, "nearest one is 'neighbours'"),
        (
            {"space": {"neighbours": {"low": 60, "high": 90}}},
            "first trial has neighbours = 50, which its space, 60 to 90, does not hold",
        ),
        ({"space": {"neighbours": {"low": 1.5, "high": 90}}}, "'neighbours' is a whole number"),
        ({"space": {"neighbours": {"choices": [20, 80]}}}, r"its space, \(20, 80\)"),
    ],
)
def test_a_wrong_table_is_said_in_one_sentence(table, words):
    with pytest.raises(ConfigError, match=words):
        searches(**{"vmis-knn": table})


def test_what_cannot_be_searched_is_said():
    with pytest.raises(ConfigError, match="popularity has nothing to set"):
        searches(popularity={"space": {"x": {"low": 1, "high": 2}}})
    with pytest.raises(ConfigError, match="'parts' is no single value"):
        searches(**{"two-stage": {"space": {"parts": {"choices": [1]}}}})
    with pytest.raises(ConfigError, match="unknown model 'knn': choose of"):
        searches(["knn"])
    with pytest.raises(ConfigError, match="cannot be called"):
        searches(**{"../up": {"kind": "popularity"}})
    days = {"settings": {"recency_half_life_days": 3.0}}
    with pytest.raises(ConfigError, match="needs a clock"):
        searches(has_clock=False, **{"vmis-knn": days})
