"""Ranks and metrics against their definitions, item by item."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_rec.evaluation.metrics import gains, pessimistic_ranks, session_intervals


@given(st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1), st.data())
def test_the_rank_counts_every_item_at_or_above_the_target(lines, data):
    targets = [data.draw(st.integers(-1, 4)) for _ in lines]
    ranks = pessimistic_ranks(np.array(lines, np.float32), np.array(targets, np.int32))
    for line, target, rank in zip(lines, targets, ranks.tolist(), strict=True):
        assert rank == (2**31 - 1 if target < 0 else sum(s >= line[target] for s in line))


def test_a_model_that_says_the_same_of_all_items_never_hits():
    scores = np.zeros((1, 100), np.float32)
    assert pessimistic_ranks(scores, np.array([0], np.int32)).tolist() == [100]


def test_gains_by_hand():
    g = gains(np.array([1, 3, 21]), (1, 20))
    assert g["hr@1"].tolist() == [1, 0, 0]
    assert g["hr@20"].tolist() == [1, 1, 0]
    assert g["mrr@20"].tolist() == pytest.approx([1, 1 / 3, 0])
    assert g["ndcg@20"].tolist() == pytest.approx([1, 1 / math.log2(4), 0])


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_metrics_are_ordered_and_bounded(ranks):
    g = {k: v.mean() for k, v in gains(np.array(ranks)).items()}
    for k in (1, 5, 10, 20):
        assert 0 <= g[f"mrr@{k}"] <= g[f"ndcg@{k}"] <= g[f"hr@{k}"] <= 1
    assert g["hr@1"] <= g["hr@5"] <= g["hr@10"] <= g["hr@20"]
    assert g["mrr@1"] == g["hr@1"]


def test_the_interval_knows_that_questions_of_a_session_go_together():
    # 50 sessions, 20 equal answers each: the truth is a mean over 50 coins, not over 1,000.
    coins = np.random.default_rng(0).integers(0, 2, 50).astype(float)
    session = np.repeat(np.arange(50), 20)
    clustered = session_intervals({"m": np.repeat(coins, 20)}, session, seed=1)["m"]
    half = 1.96 * coins.std() / math.sqrt(50)
    assert clustered[0] == pytest.approx(coins.mean() - half, abs=0.04)
    assert clustered[1] == pytest.approx(coins.mean() + half, abs=0.04)
    alone = session_intervals({"m": np.repeat(coins, 20)}, np.arange(1000), seed=1)["m"]
    assert alone[1] - alone[0] < 0.4 * (clustered[1] - clustered[0])


def test_the_same_seed_gives_the_same_interval():
    values = {"m": np.random.default_rng(0).random(200)}
    session = np.arange(200) // 3
    assert session_intervals(values, session, 5) == session_intervals(values, session, 5)


def test_an_unknown_target_is_a_miss_in_the_smallest_catalog():
    ranks = pessimistic_ranks(np.zeros((1, 3), np.float32), np.array([-1], np.int32))
    assert gains(ranks)["hr@20"].tolist() == [0]
