"""Raised scores against the mixture of probabilities that they stand for."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from session_rec.predictors.repeats import raise_repeats
from session_rec.ragged import Ragged

N = 7
LOG_ODDS = st.floats(-8, 8, width=32)
#: A context's items, and for each entry an attention before it is made to sum to one.
ENTRIES = st.lists(st.tuples(st.integers(0, N - 1), st.floats(-3, 3, width=32)), max_size=6)
SCORES = st.lists(st.floats(-20, 20, width=32), min_size=N, max_size=N)


def log_weights(entries: list[tuple[int, float]], log_odds: float) -> list[float]:
    total = math.log(sum(math.exp(read) for _, read in entries)) if entries else 0.0
    return [log_odds + read - total for _, read in entries]


@given(st.lists(st.tuples(SCORES, ENTRIES, LOG_ODDS), min_size=1, max_size=4))
def test_a_softmax_of_the_raised_scores_is_the_mixture(
    contexts: list[tuple[list[float], list[tuple[int, float]], float]],
) -> None:
    scores = np.array([line for line, _, _ in contexts], np.float32)
    plain = scores.copy()
    ragged = Ragged.from_lists([[item for item, _ in entries] for _, entries, _ in contexts])
    weights = [w for _, entries, log_odds in contexts for w in log_weights(entries, log_odds)]
    raise_repeats(scores, ragged, np.array(weights, np.float32))
    for b, (line, entries, log_odds) in enumerate(contexts):
        g = 1 / (1 + math.exp(-log_odds)) if entries else 0.0
        total = sum(math.exp(s) for s in line)
        expected = [(1 - g) * math.exp(s) / total for s in line]
        attention = sum(math.exp(read) for _, read in entries)
        for item, read in entries:
            expected[item] += g * math.exp(read) / attention
        got = np.exp(scores[b].astype(np.float64))
        np.testing.assert_allclose(got / got.sum(), expected, rtol=2e-4, atol=1e-9)
        others = [i for i in range(N) if i not in {item for item, _ in entries}]
        assert (scores[b, others] == plain[b, others]).all()
        # The same bits in any company.
        alone = plain[b : b + 1].copy()
        own = np.array(log_weights(entries, log_odds), np.float32)
        raise_repeats(alone, ragged.take(np.array([b])), own)
        assert (alone[0] == scores[b]).all()


def test_a_gate_that_is_shut_changes_nothing() -> None:
    scores = np.array([[1.0, 2.0, 3.0]], np.float32)
    raise_repeats(scores, Ragged.from_lists([[0, 2]]), np.full(2, -np.inf, np.float32))
    assert scores.tolist() == [[1.0, 2.0, 3.0]]
