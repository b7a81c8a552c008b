import numpy as np
import pytest

from session_rec import Ragged
from session_rec.predictors.sequential_rules import SequentialRules, SequentialRulesConfig

A, B, C, D, E = range(5)
#: a -> b at distance 1 twice, a -> c at distance 2 once, b -> c at distance 1 once.
TRAIN = Ragged.from_lists([[A, B, C], [A, B], [D]])


def scores(context, **settings):
    config = SequentialRulesConfig(**{"newest_n": 1, **settings})
    return SequentialRules.fit(TRAIN, 5, config).score(Ragged.from_lists([context]))[0]


def test_rules_count_pairs_by_distance():
    got = scores([A])
    # a -> b weighs 1 + 1, a -> c weighs 1/2; together 2.5.
    assert got[B] == pytest.approx(2 / 2.5)
    assert got[C] == pytest.approx(0.5 / 2.5)
    assert (got[[A, D, E]] < 0).all()


def test_steps_bound_the_distance():
    assert scores([A], steps=1)[C] < 0 < scores([A], steps=2)[C]


def test_only_the_strongest_rules_are_kept_at_their_weight():
    got = scores([A], rules_per_item=1)
    assert got[B] == pytest.approx(2 / 2.5)
    assert got[C] < 0


def test_older_clicks_weigh_less():
    got = scores([B, A], newest_n=2, decay=0.5)
    assert got[B] == pytest.approx(2 / 2.5)
    assert got[C] == pytest.approx(0.5 / 2.5 + 0.5 * 1.0)
    assert scores([B, A], newest_n=1)[C] == pytest.approx(0.5 / 2.5)


def test_an_item_without_rules_gets_the_popular_ones():
    model = SequentialRules.fit(TRAIN, 5)
    rows, _ = model.top_k(Ragged.from_lists([[D]]), 5)
    assert rows.tolist() == [[A, B, C, D, E]]


def test_repeats_are_rules_too():
    model = SequentialRules.fit(Ragged.from_lists([[A, A]]), 2)
    assert model.score(Ragged.from_lists([[A]]))[0, A] == 1.0


def test_sessions_of_one_click_teach_popularity_only():
    model = SequentialRules.fit(Ragged.from_lists([[B], [B], [A]]), 3)
    assert model.top_k(Ragged.from_lists([[A]]), 3)[0].tolist() == [[B, A, C]]


def test_rules_do_not_cross_sessions():
    rng = np.random.default_rng(1)
    sessions = [rng.integers(0, 8, rng.integers(1, 7)).tolist() for _ in range(50)]
    model = SequentialRules.fit(
        Ragged.from_lists(sessions), 8, SequentialRulesConfig(newest_n=1, steps=3)
    )
    weight = np.zeros((8, 8))
    for session in sessions:
        for i, a in enumerate(session):
            for j in range(i + 1, min(i + 4, len(session))):
                weight[a, session[j]] += 1 / (j - i)
    got = model.score(Ragged.from_lists([[a] for a in range(8)]))
    weight /= weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.where(weight > 0, got, 0), weight, rtol=1e-5)
