"""Intervals and p-values against enumeration, formulas and simulated truths."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_rec.evaluation.significance import (
    EXACT_SESSIONS,
    bootstrap_interval,
    holm,
    sign_flip_p,
)


def all_flips(values: list[float]) -> float:
    """The p-value by trying every vector of signs, in plain Python."""
    observed = abs(sum(values))
    flips = list(itertools.product((1, -1), repeat=len(values)))
    far = sum(
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) >= observed - 1e-9
        for signs in flips
    )
    return far / len(flips)


@given(st.lists(st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.25, 1 / 3, 1.0, 3.0]), max_size=9))
def test_few_sessions_are_counted_exactly(values):
    p, exact = sign_flip_p(np.array(values).reshape(-1, 1), resamples=10, seed=0)
    assert exact.tolist() == [True]
    assert p[0] == pytest.approx(all_flips(values))


def test_many_sessions_are_drawn_and_agree_with_all_flips():
    rng = np.random.default_rng(5)
    columns = [
        rng.integers(-2, 3, 16) + 0.0,
        rng.normal(0.4, 1, 16),
        np.where(rng.random(16) < 0.5, 1 / 3, -1 / 7),
    ]
    sums = np.column_stack(columns)
    p, exact = sign_flip_p(sums, resamples=20_000, seed=3)
    for m, column in enumerate(columns):
        truth = all_flips(column[column != 0].tolist())
        if exact[m]:
            assert p[m] == pytest.approx(truth)
        else:
            assert p[m] == pytest.approx(truth, abs=4 * math.sqrt(truth * (1 - truth) / 20_000))
    assert not exact[1:].any()


def test_the_border_between_exact_and_drawn():
    for n in (EXACT_SESSIONS, EXACT_SESSIONS + 1):
        p, exact = sign_flip_p(np.ones((n, 1)), resamples=99, seed=0)
        assert exact[0] == (n <= EXACT_SESSIONS)
        # Drawn, p is never below 1 / (1 + resamples), however sure.
        assert p[0] == (2 / 2**n if exact[0] else 1 / 100)
    # Sessions without a difference say nothing about its sign.
    p, exact = sign_flip_p(np.append(np.ones(3), np.zeros(50))[:, None], resamples=99, seed=0)
    assert (p[0], exact[0]) == (0.25, True)


def test_totals_that_are_equal_but_for_rounding_count():
    # .1 + .2 + .3 added up in another order differs in the last bit.
    values = np.tile([0.1, 0.2, 0.3, -0.1, -0.2, -0.3], 4)[:, None]
    assert sign_flip_p(values, resamples=99, seed=0)[0].tolist() == [1]


def test_p_values_are_uniform_where_nothing_differs():
    # 400 data sets without an effect, sessions of unlike spread: rejected as often as promised.
    rng = np.random.default_rng(11)
    spread = rng.gamma(1, 1, (60, 1))
    p, _ = sign_flip_p(rng.normal(0, 1, (60, 400)) * spread, resamples=999, seed=1)
    for alpha in (0.05, 0.2, 0.5, 0.8):
        error = 4 * math.sqrt(alpha * (1 - alpha) / 400)
        assert abs(np.mean(p <= alpha) - alpha) < error


def test_a_real_difference_is_found():
    rng = np.random.default_rng(12)
    p, _ = sign_flip_p(rng.normal(0.5, 1, (100, 50)), resamples=999, seed=1)
    assert np.mean(p < 0.05) > 0.9


def test_the_interval_covers_the_truth_as_often_as_it_says():
    # Sessions of unlike length whose questions share luck and whose effect grows with length:
    # intervals over questions would be far too narrow.
    rng = np.random.default_rng(2)
    sessions, effect, covered, naive = 150, 0.05, 0, 0
    lengths, chance = np.array([1, 2, 5, 12]), np.array([0.4, 0.3, 0.2, 0.1])
    truth = (chance * lengths * effect * lengths).sum() / (chance * lengths).sum()
    trials = 200
    for trial in range(trials):
        size = rng.choice(lengths, sessions, p=chance)
        luck = rng.normal(0, 0.5, sessions)
        noise = rng.normal(0, 0.5, sessions) * np.sqrt(size)
        sums = (effect * size + luck) * size + noise
        low, high = bootstrap_interval(
            sums[:, None], size.astype(float), resamples=300, seed=trial
        )[:, 0]
        covered += low <= truth <= high
        half = 1.96 * math.sqrt(0.5 / size.sum())
        naive += abs(sums.sum() / size.sum() - truth) <= half
    # Binomial error of 200 trials at 95 % is 1.5 %; the percentile interval runs a little short.
    assert 0.90 <= covered / trials <= 0.99
    assert naive / trials < 0.75


def test_the_interval_of_equal_sessions_is_the_textbook_one():
    values = np.random.default_rng(3).normal(1, 2, 900)
    low, high = bootstrap_interval(values[:, None], np.ones(900), resamples=4000, seed=0)[:, 0]
    half = 1.96 * values.std() / 30
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    wide = bootstrap_interval(values[:, None], np.ones(900), resamples=4000, seed=0, level=0.99)[
        :, 0
    ]
    assert wide[0] < low < high < wide[1]


def test_sessions_of_unlike_length_with_one_rate_leave_no_doubt():
    # What varies is only how many questions are drawn: the mean per question never does.
    sizes = np.array([1.0, 2, 30, 4, 100])
    bounds = bootstrap_interval(0.25 * sizes[:, None], sizes, resamples=200, seed=0)
    assert bounds.ravel().tolist() == [0.25, 0.25]


def test_the_same_seed_gives_the_same_numbers_and_every_step_is_told():
    sums = np.random.default_rng(4).normal(0, 1, (2000, 2))
    steps: list[int] = []
    settings = {"resamples": 2500, "seed": 9, "progress": steps.append}
    interval = bootstrap_interval(sums, np.ones(2000), **settings)
    assert sum(steps) == 2500
    assert len(steps) > 1
    p, _ = sign_flip_p(sums, **settings)
    assert sum(steps) == 5000
    sign_flip_p(sums[:5], **settings)
    assert sum(steps) == 7500
    np.testing.assert_array_equal(bootstrap_interval(sums, np.ones(2000), **settings), interval)
    np.testing.assert_array_equal(sign_flip_p(sums, **settings)[0], p)
    assert (bootstrap_interval(sums, np.ones(2000), resamples=2500, seed=8) != interval).all()


def test_holm_by_hand():
    # Holm (1979): the k-th smallest of n times n - k + 1, never below an earlier one.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_nothing_and_bonferroni(p):
    adjusted = holm(p)
    for raw, a in zip(p, adjusted, strict=True):
        assert raw <= a <= min(1, len(p) * raw) + 1e-12
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
