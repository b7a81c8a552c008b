import math

import numpy as np
import pytest

from session_rec import Ragged
from session_rec.predictors.vmis_knn import VmisKnn, VmisKnnConfig

A, B, C, D, E, F = range(6)
DAY = 86_400_000
#: Everything off that would hide the votes.
PLAIN = {"match_idf_power": 0.0, "idf_power": 0.0, "own_boost": 0.0, "last_item_factor": 1.0}


def fit(sessions, days=None, n_items=6, **settings):
    ragged = Ragged.from_lists(sessions)
    starts = np.arange(len(sessions)) if days is None else np.array(days) * DAY
    ragged.ts[:] = np.repeat(starts, ragged.lengths)
    return VmisKnn.fit(ragged, n_items, VmisKnnConfig(**{**PLAIN, **settings}))


def scores(model, context):
    return model.score(Ragged.from_lists([context]))[0]


def test_items_of_a_neighbour_vote_by_their_distance_from_the_match():
    got = scores(fit([[C, A, B, D]], distance_scale=2.0), [A])
    assert got[A] == got[B] == got[C] == 1.0
    assert got[D] == pytest.approx(math.exp(-1 / 2))
    assert (got[[E, F]] < 0).all()


def test_similarity_sums_the_position_weights_of_shared_items():
    # Context a, b: b is newest (1), a the one before (1/2).
    got = scores(fit([[A, C], [B, D], [A, B, E]]), [A, B])
    assert got[C] == pytest.approx(0.5)
    assert got[D] == pytest.approx(1.0)
    assert got[E] == pytest.approx(1.5)  # next to b, the newest shared item


def test_the_match_is_the_last_occurrence():
    got = scores(fit([[A, C, C, C, A, B]], distance_scale=1.0), [A])
    assert got[B] == 1.0


def test_only_the_most_similar_sessions_vote():
    sessions = [[A, C], [A, B, D], [B, E]]
    got = scores(fit(sessions, neighbours=1), [A, B])
    assert got[D] > 0 and got[C] < 0 and got[E] < 0


def test_among_equals_the_newer_sessions_vote():
    got = scores(fit([[A, B], [A, C], [A, D]], neighbours=2), [A])
    assert got[C] > 0 and got[D] > 0 and got[B] < 0


def test_only_the_newest_sessions_of_an_item_are_kept():
    got = scores(fit([[A, B], [A, C], [A, D]], days=[3, 1, 2], sessions_per_item=2), [A])
    assert got[B] > 0 and got[D] > 0 and got[C] < 0


def test_similarity_halves_with_age():
    got = scores(fit([[A, B], [A, C]], days=[0, 4], recency_half_life_days=2.0), [A])
    assert got[C] == 1.0
    assert got[B] == 0.25


def test_items_of_the_context_are_boosted_and_the_last_one_is_not_repeated():
    settings = {"own_boost": 2.0, "last_item_factor": 0.5}
    plain, got = scores(fit([[A, B, C]]), [A, B]), scores(fit([[A, B, C]], **settings), [A, B])
    assert got[B] == pytest.approx(plain[B] * (1 + 2 / 1) * 0.5)
    assert got[A] == pytest.approx(plain[A] * (1 + 2 / 2))
    assert got[C] == plain[C]


def test_rare_items_count_more():
    sessions = [[A, B, C], [B], [B], [D]]
    got = scores(fit(sessions, idf_power=1.0), [A])
    assert got[B] == pytest.approx(math.log(1 + 4 / 3))
    assert got[C] == pytest.approx(math.exp(-1 / 4) * math.log(1 + 4 / 1))
    matched = scores(fit(sessions, match_idf_power=2.0), [A])
    assert matched[B] == pytest.approx(math.log(1 + 4 / 1) ** 2)


def test_items_that_share_no_session_get_the_popular_order():
    rows, _ = fit([[A, B], [C, C, D]]).top_k(Ragged.from_lists([[A]]), 6)
    assert rows.tolist() == [[A, B, C, D, E, F]]


def brute_force(sessions, days, context, c):
    """The published formula, one session at a time."""
    df = {i: sum(i in s for s in sessions) for i in range(99)}
    idf = {i: math.log(1 + len(sessions) / max(df[i], 1)) for i in df}
    newest = list(reversed(context))[: c.newest_n]
    age = {i: newest.index(i) for i in newest}
    order = sorted(range(len(sessions)), key=lambda s: (days[s], s), reverse=True)
    kept = {i: [s for s in order if i in sessions[s]][: c.sessions_per_item] for i in age}
    found = []
    for place, s in enumerate(order):
        shared = [i for i in age if s in kept[i]]
        similarity = sum((age[i] + 1) ** -c.position_power * idf[i] ** c.match_idf_power
                         for i in shared)  # fmt: skip
        if shared:
            similarity *= 2 ** (-(max(days) - days[s]) / c.recency_half_life_days)
            match = min(shared, key=age.get)
            found.append((-similarity, place, s, match))
    scores = {}
    for negative, _, s, match in sorted(found)[: c.neighbours]:
        at = max(p for p, i in enumerate(sessions[s]) if i == match)
        for p, i in enumerate(sessions[s]):
            decay = math.exp(-max(abs(p - at) - 1, 0) / c.distance_scale)
            scores[i] = scores.get(i, 0) - negative * decay * idf[i] ** c.idf_power
    for i in set(age) & set(scores):
        scores[i] *= 1 + c.own_boost / (age[i] + 1)
        scores[i] *= c.last_item_factor if age[i] == 0 else 1
    return scores


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_formula(seed):
    rng = np.random.default_rng(seed)
    sessions = [rng.integers(0, 15, rng.integers(1, 9)).tolist() for _ in range(60)]
    # Distinct, so that no similarity is equal only up to rounding.
    days = rng.permutation(60).tolist()
    settings = {
        "sessions_per_item": 7, "neighbours": 9, "newest_n": 4, "position_power": 1.2,
        "match_idf_power": 0.5, "recency_half_life_days": 17.0, "idf_power": 0.7,
        "own_boost": 2.0, "last_item_factor": 0.5, "distance_scale": 3.0,
    }  # fmt: skip
    model = fit(sessions, days, n_items=16, **settings)
    for _ in range(10):
        context = rng.integers(0, 16, rng.integers(1, 8)).tolist()
        got = scores(model, context)
        want = brute_force(sessions, days, context, VmisKnnConfig(**settings))
        assert set(np.flatnonzero(got > 0)) == set(want)
        for item, score in want.items():
            assert got[item] == pytest.approx(score, rel=1e-5)
