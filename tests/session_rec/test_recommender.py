"""Contexts in, slates out: unknown items, the fallback, the policy."""

import numpy as np
import pytest

from session_rec import Policy, Ragged, Recommender


@pytest.fixture
def recommender(model_directory):
    return Recommender.load(model_directory)


def test_unknown_items_keep_their_place_but_do_not_change_the_slate(recommender):
    with_unknown = recommender.recommend_many([["zz", "a", "??"]], k=4)
    without = recommender.recommend_many([["a"]], k=4)
    assert with_unknown.rows.tolist() == without.rows.tolist()
    assert with_unknown.scores.tobytes() == without.scores.tobytes()
    assert with_unknown.known.tolist() == [1]
    assert not with_unknown.fallback[0]


def test_a_context_of_unknown_items_gets_the_popular_slate_and_says_so(recommender):
    slates = recommender.recommend_many([["zz"], [], ["a"]], k=3)
    assert slates.items(0) == slates.items(1) == ["d", "a", "b"]
    assert slates.scores[0].tolist() == [9, 4, 3]
    assert slates.fallback.tolist() == [True, True, False]


def test_the_policy_fills_the_slate_with_others(recommender):
    hidden = recommender.with_policy(Policy(exclude_seen=True, blocked_items=frozenset({"b", "q"})))
    slates = hidden.recommend_many([["a"], ["zz"]], k=3)
    assert slates.items(0) == ["c", "d"]
    assert slates.rows[0, 2] == -1
    assert np.isneginf(slates.scores[0, 2])
    assert slates.items(1) == ["d", "a", "c"]


def test_many_contexts_are_answered_as_each_alone(recommender):
    contexts = [["a"], ["b", "c"], [], ["d"] * 40, ["zz", "a"]] * 30
    together = recommender.recommend_many(contexts, k=4)
    for b, context in enumerate(contexts):
        alone = recommender.recommend_many([context], k=4)
        assert together.rows[b].tolist() == alone.rows[0].tolist()
        assert together.scores[b].tobytes() == alone.scores[0].tobytes()


def test_no_contexts_give_no_slates(recommender):
    slates = recommender.recommend_many([], k=5)
    assert slates.rows.shape == (0, 5)
    assert len(recommender.recommend_many(Ragged.from_lists([]), k=5)) == 0


def test_scores_rank_as_the_slates_do(recommender):
    contexts = recommender.encode([["a"], ["zz"], ["c", "b"]])
    rows, scores = recommender.best(recommender.score(contexts), contexts, 4)
    slates = recommender.recommend_many(contexts, 4)
    assert rows.tolist() == slates.rows.tolist()
    assert scores.tobytes() == slates.scores.tobytes()


def test_a_frame_at_the_edge(recommender):
    frame = recommender.recommend_many([["a"], ["zz"]], k=2).to_frame()
    assert frame["item_id"].tolist() == ["b", "c", "d", "a"]
    assert frame["rank"].tolist() == [1, 2, 1, 2]
    assert frame["fallback"].tolist() == [False, False, True, True]
