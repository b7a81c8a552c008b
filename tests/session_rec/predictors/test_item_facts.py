"""Facts of items and of pairs, against sums written out click by click."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_rec import Ragged
from session_rec.errors import BundleError
from session_rec.predictors.candidate_rows import CandidateRows
from session_rec.predictors.fact_features import FACT_FEATURES, ItemVectors, fact_features
from session_rec.predictors.item_facts import ItemFacts
from session_rec.predictors.item_pairs import ItemPairs

N = 6
logs = st.lists(st.lists(st.integers(0, N - 2), min_size=1, max_size=6), min_size=1, max_size=8)


def naive(sessions):
    """Weights by the share of sessions that ended later: here, that have more clicks."""
    sessions = sorted(sessions, key=len)
    count = len(sessions)
    recent = {share: defaultdict(float) for share in (0.03, 0.1, 0.3)}
    age = defaultdict(lambda: 1.0)
    clicks, follows, near = defaultdict(int), defaultdict(float), defaultdict(float)
    for s, items in enumerate(sessions):
        later = (count - 1 - s) / count
        pair = max(2 ** (-later / 0.4), 2**-100)
        for item in items:
            clicks[item] += 1
            age[item] = later
            for share, sums in recent.items():
                sums[item] += max(2 ** (-later / share), 2**-100)
        for a, b in itertools.pairwise(items):
            follows[a, b] += pair
            near[a, b] += pair
            near[b, a] += pair
        for a, b in zip(items, items[2:], strict=False):
            near[a, b] += pair / 2
            near[b, a] += pair / 2
    return recent, age, clicks, follows, near


@given(logs)
def test_facts_are_what_their_names_say(sessions):
    facts = ItemFacts.fit(Ragged.from_lists(sessions), N)
    recent, age, clicks, follows, near = naive(sessions)
    everything = CandidateRows.union([np.arange(N)[None]], N)
    for a in range(N):
        assert facts.log_popularity[a] == pytest.approx(math.log(1 + clicks[a]), rel=1e-5)
        assert facts.age[a] == pytest.approx(age[a], abs=1e-6)
        for value, share in zip(facts.recent[a], (0.03, 0.1, 0.3), strict=True):
            assert value == pytest.approx(math.log(1 + recent[share][a]), rel=1e-4, abs=1e-6)
        np.testing.assert_allclose(
            facts.follows(np.array([[a]]), everything)[:, 0],
            [follows[a, b] for b in range(N)],
            rtol=1e-5,
        )
        np.testing.assert_allclose(
            facts.near(np.array([[a]]), everything)[:, 0],
            [near[a, b] for b in range(N)],
            rtol=1e-5,
        )
        assert facts.volume[a] == pytest.approx(1 + sum(near[a, b] for b in range(N)), rel=1e-5)
    again = ItemFacts.restore(facts.arrays(), N)
    assert {k: v.tolist() for k, v in again.arrays().items()} == {
        k: v.tolist() for k, v in facts.arrays().items()
    }


@given(logs, st.lists(st.integers(0, N - 1), max_size=5), st.booleans())
def test_columns_are_what_their_names_say(sessions, context, with_vectors):
    recent, age, clicks, follows, near = naive(sessions)
    facts = ItemFacts.fit(Ragged.from_lists(sessions), N)
    table = np.random.default_rng(0).normal(size=(N, 3))
    directions = table / np.linalg.norm(table, axis=1, keepdims=True)
    vectors = ItemVectors(table.astype(np.float32) if with_vectors else None)
    rows = np.array([0, 2, 5])
    found = CandidateRows.union([rows[None]], N)
    got = fact_features(found, Ragged.from_lists([context]), facts, vectors)
    columns = dict(zip(FACT_FEATURES, got, strict=True))
    volume = {a: 1 + sum(near[a, b] for b in range(N)) for a in range(N)}
    for c, row in enumerate(rows.tolist()):
        wanted = {}
        for share in (0.03, 0.1, 0.3):
            wanted[f"recent_popularity_{share:g}"] = math.log(1 + recent[share][row]) / 8
        wanted["popularity_trend"] = (
            wanted["recent_popularity_0.03"] - math.log(1 + clicks[row]) / 8
        )
        wanted["log_age"] = math.log(age[row] + 0.001) / 4
        cosines = [float(directions[row] @ directions[i]) * with_vectors for i in context]
        for place, item in enumerate(context[::-1][:3]):
            wanted |= {
                f"log_follows_of_newest_{place}": math.log(1 + follows[item, row]) / 3,
                f"log_share_follows_of_newest_{place}": math.log(
                    (follows[item, row] + 0.02) / volume[item]
                )
                / 4,
                f"log_near_of_newest_{place}": math.log(
                    (near[item, row] + 0.02) / math.sqrt(volume[item] * volume[row])
                )
                / 4,
                f"cosine_of_newest_{place}": cosines[::-1][place],
            }
        wanted["largest_cosine"] = max(cosines[-3:], default=0.0)
        wanted["mean_cosine"] = sum(cosines) / max(len(cosines), 1)
        for name, value in wanted.items():
            assert columns[name][c] == pytest.approx(value, rel=1e-3, abs=1e-4), name
        for place in range(len(context), 3):
            absent = [columns[f"{n}_of_newest_{place}"][c] for n in ("log_follows", "log_near")]
            assert absent == [0, -2]


def test_of_each_item_the_heaviest_pairs_are_kept():
    pairs = ItemPairs.of(
        np.array([0, 0, 0, 0, 1]),
        np.array([4, 3, 2, 3, 0]),
        np.array([1.0, 1.0, 1.5, 1.0, 0.1]),
        n_items=5,
        per_item=2,
    )
    found = CandidateRows.union([np.tile(np.arange(5), (2, 1))], 5)
    weights = pairs(np.array([[0, 1], [-1, 2]]), found)
    assert weights[:5, 0].tolist() == [0, 0, 1.5, 2, 0]
    assert weights[:5, 1].tolist() == pytest.approx([0.1, 0, 0, 0, 0])
    assert weights.shape == (10, 2) and not weights[5:].any()


@given(logs, st.lists(st.lists(st.integers(0, N - 1), max_size=5), min_size=1, max_size=6))
def test_columns_of_a_context_are_the_same_bits_in_any_company(sessions, contexts):
    facts = ItemFacts.fit(Ragged.from_lists(sessions), N)
    table = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
    rng = np.random.default_rng(len(contexts))
    best = np.array([rng.permutation(N)[:4] for _ in contexts])

    def columns(which):
        asked = Ragged.from_lists([contexts[b] for b in which])
        found = CandidateRows.union([best[which, :2], best[which, 1:]], N)
        return found, np.stack(fact_features(found, asked, facts, ItemVectors(table)), axis=1)

    found, together = columns(list(range(len(contexts))))
    for b in range(len(contexts)):
        alone, of_alone = columns([b])
        assert alone.rows.tolist() == sorted(set(best[b].tolist()))
        np.testing.assert_array_equal(together[found.of(b)], of_alone)


def test_facts_of_another_catalog_are_refused():
    arrays = ItemFacts.fit(Ragged.from_lists([[0, 1]]), 3).arrays()
    with pytest.raises(BundleError, match="another number of items"):
        ItemFacts.restore(arrays, 4)
    with pytest.raises(BundleError, match=r"near\.offsets.*train again"):
        ItemFacts.restore({k: v for k, v in arrays.items() if k != "near.offsets"}, 3)
