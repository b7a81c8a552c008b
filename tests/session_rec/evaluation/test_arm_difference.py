"""The interval that may be looked at any time: what it promises, by enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_rec.evaluation.arm_difference import (
    arm_difference,
    drawn_share,
    session_estimates,
)
from session_rec.evaluation.confidence_sequence import boundary, log_evidence

SESSIONS = 9
#: Every way in which nine sessions can be drawn to two arms.
DRAWS = np.array(list(itertools.product([False, True], repeat=SESSIONS)))
VALUES = st.lists(st.floats(0, 1), min_size=SESSIONS, max_size=SESSIONS)


@given(VALUES, VALUES, st.sampled_from([0.05, 0.3, 0.5, 0.8]), st.sampled_from([1, -1]))
@settings(deadline=None, max_examples=30)
def test_over_the_draw_the_evidence_against_the_truth_is_not_above_1(one, other, share, sign):
    """Whatever the sessions do in either arm: summed exactly over all draws, at every moment. That
    and Ville's inequality are the promise."""
    challenger, champion = np.array(one), np.array(other)
    observed = np.where(DRAWS, challenger, champion)
    estimates, guesses = session_estimates(observed, DRAWS, share)
    chance = np.where(DRAWS, share, 1 - share).prod(axis=1)
    truth = challenger - champion
    assert (chance @ estimates) == pytest.approx(truth, abs=1e-9)
    scale = 1 / min(share, 1 - share)
    assert np.abs(estimates - guesses).max() <= scale * (1 + 1e-12)
    deviation = sign * np.cumsum(estimates - truth, axis=1)
    variance = np.cumsum((estimates - guesses) ** 2, axis=1)
    evidence = np.exp(log_evidence(deviation, variance, scale))
    assert (chance @ evidence).max() <= 1 + 1e-9


@given(VALUES, st.integers(0, len(DRAWS) - 1), st.integers(1, SESSIONS))
def test_a_guess_knows_only_earlier_sessions(values, draw, at):
    values, drawn = np.array(values), DRAWS[draw]
    changed, other = values.copy(), drawn.copy()
    changed[at - 1 :], other[at - 1 :] = 1 - changed[at - 1 :], ~other[at - 1 :]
    mine = session_estimates(values, drawn, 0.4)[1]
    assert session_estimates(changed, other, 0.4)[1][:at].tolist() == mine[:at].tolist()


@given(st.floats(0, 1e8), st.sampled_from([1.0, 2.0, 20.0]), st.sampled_from([0.2, 0.05, 1e-4]))
@settings(deadline=None, max_examples=20)
def test_at_the_boundary_the_evidence_is_what_alpha_asks_for(variance, scale, alpha):
    at = boundary(variance, scale, alpha)
    assert log_evidence(np.array(at), np.array(variance), scale) == pytest.approx(
        math.log(1 / alpha), abs=1e-6
    )
    # Sixteen bets cost a factor of 16, and none that would be better lies between two of them.
    if 100 < variance / scale**2 < 1e7:
        needed = math.log(16 / alpha)
        assert at < 1.05 * math.sqrt(2 * variance * needed) + scale * needed


def looked_at_after_every_session(lift: float, sessions: int, runs: int, share: float, seed: int):
    """Per run: whether the interval excluded 0 at any time, and whether a z-interval did."""
    rng = np.random.default_rng(seed)
    challenger = rng.random((runs, sessions)) < share
    # The mean hit of a session's one to four slates, in traffic whose rate swings.
    slates = rng.integers(1, 5, (runs, sessions))
    rate = 0.2 + 0.1 * np.sin(np.arange(sessions) / 40) + lift * challenger
    values = rng.binomial(slates, rate) / slates
    estimates, guesses = session_estimates(values, challenger, share)
    total = np.cumsum(estimates, axis=1)
    squares = np.cumsum((estimates - guesses) ** 2, axis=1)
    n = np.arange(1, sessions + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        naive = (np.abs(total / np.sqrt(squares)) > 1.96) & (n >= 100)
    evidence = np.maximum(*(log_evidence(s * total, squares, 1 / min(share, 1 - share))
                            for s in (1, -1)))  # fmt: skip
    return (evidence >= math.log(2 / 0.05)).any(axis=1), naive.any(axis=1)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_of_equal_arms_hardly_any_look_finds_a_difference(share: float):
    found, naive = looked_at_after_every_session(0.0, 1000, 300, share, seed=1)
    assert found.mean() <= 0.05
    assert naive.mean() > 0.2, "this simulation would not notice an interval that peeking breaks"


def test_a_real_difference_is_found():
    found, _ = looked_at_after_every_session(0.1, 2000, 60, 0.5, seed=2)
    assert found.mean() > 0.9
    rng = np.random.default_rng(3)
    for lift, verdict in ((0.1, "ahead"), (-0.1, "behind"), (0.0, "undecided")):
        challenger = rng.random(5000) < 0.3
        values = (rng.random(5000) < 0.3 + lift * challenger).astype(float)
        difference = arm_difference(values, challenger, 0.3)
        assert difference.verdict == verdict
        assert difference.low < lift < difference.high
        assert difference.estimate == pytest.approx(lift, abs=0.05)


def test_without_sessions_everything_is_possible():
    nothing = arm_difference(np.zeros(0), np.zeros(0, bool), 0.5)
    assert (nothing.low, nothing.high, nothing.verdict) == (-1, 1, "undecided")
    assert math.isnan(nothing.estimate)


def test_a_broken_draw_is_noticed():
    rng = np.random.default_rng(4)
    for share in (0.1, 0.5, 0.9):
        fair = rng.random(20_000) < share
        assert drawn_share(fair, share).verdict == "undecided"
        # Of the challenger's sessions every fourth is missing.
        assert drawn_share(fair[~fair | (rng.random(20_000) < 0.75)], share).verdict == "behind"
