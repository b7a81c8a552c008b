"""Candidates and their features, against the definitions written out in plain Python."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_rec import Ragged
from session_rec.predictors.candidates import candidates, feature_names
from session_rec.predictors.fact_features import FACT_FEATURES, ItemVectors, fact_features
from session_rec.predictors.item_facts import ItemFacts
from session_rec.predictors.reranker import Reranker

N = 9
#: Few values, so that equal scores are common.
lines = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5, 4.0]), min_size=N, max_size=N)
contexts = st.lists(st.integers(0, N - 1), max_size=6)


def naive(scores, logits, context, log_popularity, depth):
    order = [sorted(range(N), key=lambda r, s=s: (-s[r], r))[:depth] for s in scores]
    out = {}
    for row in sorted(set().union(*order)):
        values = []
        for s, best, is_logits in zip(scores, order, logits, strict=True):
            top, last = s[best[0]], s[best[-1]]
            if is_logits:
                p = math.exp(s[row]) / sum(math.exp(v) for v in s)
            else:
                p = s[row] / sum(s) if sum(s) else 0.0
            rank = sum(s[r] > s[row] for r in best)
            values += [
                max(math.log(p) if p else -99.0, -12.0) / 4,
                1 / (rank + 1),
                math.log(rank + 1) / 4,
                min((top - s[row]) / (top - last + 1e-6), 4.0),
            ]
        ages = [age for age, item in enumerate(reversed(context)) if item == row]
        inside = float(bool(ages))
        length = math.log(len(context) + 1) / 2
        distinct = len(set(context)) / max(len(context), 1)
        values += [
            inside,
            1 / (ages[0] + 1) if ages else 0.0,
            math.log(len(ages) + 1),
            float(0 in ages[:1]),
            float(1 in ages[:1]),
            log_popularity[row] / 8,
            length,
            distinct,
            inside * length,
            inside * distinct,
        ]
        out[row] = values
    return out


@given(lines, lines, st.booleans(), contexts, st.integers(1, N + 2))
def test_features_are_what_their_names_say(one, other, logits, context, depth):
    facts = ItemFacts.fit(Ragged.from_lists([[r] * r for r in range(1, N)]), N)
    popularity = [math.log(1 + r) for r in range(N)]
    scores = [np.array([one], np.float32), np.array([other], np.float32)]
    order = [sorted(range(N), key=lambda r, s=s: (-s[r], r))[:depth] for s in (one, other)]
    asked = Ragged.from_lists([context])
    got = candidates(
        scores,
        [(np.array([best]), s[:, best]) for best, s in zip(order, scores, strict=True)],
        [logits, False],
        asked,
        facts,
        ItemVectors(None),
    )
    wanted = naive([one, other], [logits, False], context, popularity, min(depth, N))
    assert got.found.rows.tolist() == list(wanted)
    assert got.features.dtype == np.float32
    assert got.features.shape == (len(wanted), len(feature_names(["a", "b"])))
    known = got.features[:, : -len(FACT_FEATURES)]
    np.testing.assert_allclose(known, list(wanted.values()), rtol=1e-5, atol=1e-5)
    columns = fact_features(got.found, asked, facts, ItemVectors(None))
    np.testing.assert_array_equal(
        got.features[:, -len(FACT_FEATURES) :], np.stack(columns, axis=1).astype(np.float32)
    )


def test_the_network_is_a_linear_path_beside_tanh_units():
    rng = np.random.default_rng(0)
    f, h = 5, 3
    mean, linear, output = rng.normal(size=f), rng.normal(size=f), rng.normal(size=h)
    scale, hidden, bias = rng.uniform(1, 2, f), rng.normal(size=(f, h)), rng.normal(size=h)
    net = Reranker(*(a.astype(np.float32) for a in (mean, scale, linear, hidden, bias, output)))
    x = rng.normal(size=(7, f))
    for row, score in zip(x, net(x.astype(np.float32)).tolist(), strict=True):
        z = [(row[i] - mean[i]) / scale[i] for i in range(f)]
        units = [math.tanh(bias[j] + sum(z[i] * hidden[i, j] for i in range(f))) for j in range(h)]
        wanted = sum(z[i] * linear[i] for i in range(f))
        wanted += sum(units[j] * output[j] for j in range(h))
        assert score == pytest.approx(wanted, rel=1e-4, abs=1e-5)
