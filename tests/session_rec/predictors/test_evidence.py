"""What all models promise that know something about few items only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_rec import Ragged
from session_rec.predictors.evidence import EvidencePredictor, popularity_tail
from session_rec.retrieval import NonFiniteScoreError, top_k


class Given(EvidencePredictor):
    """Evidence as it was given, for any context."""

    kind = "given"

    def __init__(self, count, evidence):
        super().__init__(np.array(count))
        self._given = evidence

    def evidence(self, context):
        rows = np.array(sorted(self._given), np.int64)
        return rows, np.array([self._given[r] for r in sorted(self._given)], np.float64)

    def config(self):
        return {}

    def arrays(self):
        return {}

    @classmethod
    def restore(cls, config, arrays, directory, n_items):
        raise NotImplementedError


def test_tail_is_distinct_and_orders_by_count_then_row():
    tail = popularity_tail(np.array([5, 9, 0, 5]))
    assert tail.tolist() == pytest.approx([-2 / 5, -1 / 5, -4 / 5, -3 / 5])


def test_items_with_evidence_come_first_then_the_popular_ones():
    model = Given([5, 9, 0, 5], {2: 0.25, 3: 7.0})
    slate, scores = model.top_k(Ragged.from_lists([[0]]), 4)
    assert slate.tolist() == [[3, 2, 1, 0]]
    assert scores[0, :2].tolist() == [7.0, 0.25]
    assert -1 < scores[0, 3] < scores[0, 2] < 0


def test_evidence_too_small_for_float32_still_beats_none():
    model = Given([5, 9, 0], {2: 1e-300, 1: 0.0})
    assert model.top_k(Ragged.from_lists([[0]]), 3)[0].tolist() == [[1, 2, 0]]


def test_the_empty_context_gets_the_popular_items():
    model = Given([5, 9, 0], {2: 1.0})
    assert model.top_k(Ragged.from_lists([[]]), 2)[0].tolist() == [[1, 0]]
    assert np.isfinite(model.score(Ragged.from_lists([[]]))).all()


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_score_that_is_no_number_raises(broken):
    model = Given([5, 9, 0], {2: broken})
    with pytest.raises(NonFiniteScoreError):
        model.score(Ragged.from_lists([[0]]))
    with pytest.raises(NonFiniteScoreError):
        model.top_k(Ragged.from_lists([[0]]), 2)


@given(
    count=st.lists(st.integers(0, 3), min_size=1, max_size=90),
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 100),
    per_context=st.booleans(),
)
def test_top_k_is_score_then_sort(count, seed, k, per_context):
    rng = np.random.default_rng(seed)
    n = len(count)
    rows = rng.choice(n, rng.integers(0, n + 1), replace=False)
    # Few distinct values, so that ties decide.
    model = Given(count, {int(r): float(rng.integers(0, 4)) for r in rows})
    contexts = Ragged.from_lists([[0], []])
    blocked = rng.random((2, n) if per_context else n) < rng.choice([0.0, 0.3, 0.95])
    for mask in (None, blocked):
        expected = top_k(model.score(contexts), k, mask)
        for got, want in zip(model.top_k(contexts, k, mask), expected, strict=True):
            np.testing.assert_array_equal(got, want)
