"""How much less an older session counts, in days and in sessions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_rec import Ragged
from session_rec.recency import recency_weights

DAY_MS = 86_400_000


def ended_at(days: list[float]) -> Ragged:
    ts = np.array([d * DAY_MS for d in days], np.int64)
    n = len(days)
    return Ragged(np.zeros(n, np.int32), np.arange(n + 1), ts, np.zeros(n, np.int8))


def test_a_session_of_the_half_life_counts_half():
    assert recency_weights(ended_at([3, 1]), half_life_days=2).tolist() == [1.0, 0.5]
    assert recency_weights(ended_at([3, 1, 2]), half_life_sessions=2).tolist() == pytest.approx(
        [1.0, 0.5, 0.5**0.5]
    )


def test_without_a_half_life_all_count_alike():
    assert recency_weights(ended_at([3, 1])).tolist() == [1.0, 1.0]
    assert recency_weights(Ragged.from_lists([]), 1.0, 1.0).tolist() == []


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=8), st.floats(0.1, 10))
def test_newer_sessions_never_count_less_and_none_counts_nothing(days, half_life):
    order = np.argsort(days, kind="stable")
    for weights in (
        recency_weights(ended_at(days), half_life_days=half_life),
        recency_weights(ended_at(days), half_life_sessions=half_life),
    ):
        assert (np.diff(weights[order]) >= 0).all()
        assert weights[order[-1]] == 1.0
        assert (weights.astype(np.float32) > 0).all()
