"""Exact top-k against a sort that a reader can see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_rec.retrieval import NonFiniteScoreError, top_k


@given(
    st.integers(1, 400),
    st.integers(1, 5),
    st.integers(1, 30),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_equals_a_full_sort_by_score_then_row(n, b, k, levels, seed, per_row):
    rng = np.random.default_rng(seed)
    # Few levels: many ties, the hard case.
    scores = rng.integers(0, levels, (b, n)).astype(np.float32)
    blocked = rng.random((b, n) if per_row else n) < 0.3
    rows, best = top_k(scores, k, blocked)
    assert rows.shape == best.shape == (b, k)
    for i in range(b):
        hidden = blocked[i] if per_row else blocked
        order = sorted((-scores[i, r], r) for r in range(n) if not hidden[r])[:k]
        expected = [r for _, r in order]
        assert rows[i].tolist() == expected + [-1] * (k - len(expected))
        assert best[i, : len(order)].tolist() == [-s for s, _ in order]
        assert np.isneginf(best[i, len(order) :]).all()


def test_large_catalogs_take_the_block_path():
    rng = np.random.default_rng(3)
    scores = np.round(rng.normal(size=(3, 20_011)), 2).astype(np.float32)
    rows, best = top_k(scores, 20)
    for i in range(3):
        expected = np.lexsort((np.arange(20_011), -scores[i]))[:20]
        assert rows[i].tolist() == expected.tolist()
        assert best[i].tolist() == scores[i][expected].tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_raises(bad):
    scores = np.zeros((2, 100), np.float32)
    scores[1, 50] = bad
    with pytest.raises(NonFiniteScoreError):
        top_k(scores, 3)


def test_sums_that_overflow_are_still_finite_scores():
    scores = np.full((4, 50), np.finfo(np.float32).max, np.float32)
    assert top_k(scores, 2)[0].tolist() == [[0, 1]] * 4
