"""Evaluation and replay against ten lines that cut prefixes by themselves."""

import itertools

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_rec.errors import DataError
from session_rec.evaluation.evaluate import evaluate
from session_rec.evaluation.replay import latency_histogram, replay, summarise
from session_rec.event_log import read_sessions
from session_rec.schedule import schedule

#: Items of the catalog.
N = 60


def test_evaluation_equals_a_naive_loop(recommender, log, asked):
    expected = []
    for _, context, target in asked:
        known = [i for i in context if int(i[1:]) < N]
        scores = recommender.score(recommender.encode([context]))[0]
        if not known:
            scores = recommender.catalog.count.astype(np.float32)
        if int(target[1:]) >= N:
            expected.append(2**31 - 1)
        else:
            expected.append(sum(s >= scores[int(target[1:])] for s in scores.tolist()))
    result = evaluate(recommender, log, name="rules", split="test")
    assert result.ranks.tolist() == expected
    assert len(expected) > 60
    hits = np.array(expected) <= 20
    assert result.metrics["hr@20"] == pytest.approx(hits.mean())
    assert result.metrics["mrr@20"] == pytest.approx((hits / expected).mean())
    low, high = result.intervals["hr@20"]
    assert low < result.metrics["hr@20"] < high
    assert result.protocol.questions == len(expected)
    assert result.unknown_targets == pytest.approx(np.mean(np.array(expected) == 2**31 - 1))
    assert result.to_dict()["protocol"]["ties"].startswith("pessimistic")


def test_replay_shows_what_the_recommender_says_of_each_prefix(recommender, log, asked):
    answers = replay(recommender, log)
    for p, context, _ in asked:
        slates = recommender.recommend_many([context], k=20)
        assert answers.slates[p] == slates.items(0)
        assert answers.scores[p].tobytes() == slates.scores[0].tobytes()
    assert not np.isnan(answers.latency).any()
    report = summarise(recommender, log, answers, recommender.rules, "test")
    assert report.missing == 0
    assert report.protocol == evaluate(recommender, log, name="m", split="test").protocol


def test_late_predictions_are_misses_only_for_the_timely_hit_rate(recommender, log):
    answers = replay(recommender, log)
    on_time = summarise(recommender, log, answers, recommender.rules, "test")
    assert on_time.timely_hr == on_time.metrics["hr@20"] > 0
    answers.latency[:] = 1e9
    late = summarise(recommender, log, answers, recommender.rules, "test")
    assert late.timely_hr == 0
    assert late.metrics == on_time.metrics
    assert late.latency_histogram[-1][2] == len(log) == sum(n for *_, n in late.latency_histogram)
    assert late.model == recommender.fingerprint
    answers.slates[:] = None
    gone = summarise(recommender, log, answers, recommender.rules, "test")
    assert gone.metrics["hr@20"] == 0
    assert gone.missing == gone.protocol.questions


@given(st.lists(st.floats(0.002, 1e8), min_size=1, max_size=30))
def test_a_latency_histogram_counts_each_event_once(milliseconds):
    bins = latency_histogram(np.array(milliseconds))
    assert [n for *_, n in bins] == [
        sum(low <= x < high for x in milliseconds) for low, high, _ in bins
    ]
    assert sum(n for *_, n in bins) == len(milliseconds)
    assert bins[0][2] and bins[-1][2]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(bins))


def test_an_open_loop_counts_from_the_scheduled_time(recommender, log):
    answers = replay(recommender, log, plan=schedule(log, rate=2_000))
    assert answers.seconds >= (len(log) - 1) / 2_000
    assert (answers.latency > 0).all()


def test_a_log_without_a_next_event_is_refused(recommender, tmp_path):
    path = tmp_path / "one.parquet"
    duckdb.sql(f"COPY (SELECT 's' session_id, 'i01' item_id, 1 ts) TO '{path}' (FORMAT parquet)")
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(recommender, read_sessions(path), name="m", split="test")
