"""Evaluation and replay against ten lines that cut prefixes by themselves."""

import duckdb
import numpy as np
import pytest

from session_rec import Catalog, Ragged, Recommender, SessionRules
from session_rec.bundle import save_bundle
from session_rec.errors import DataError
from session_rec.evaluation.evaluate import evaluate
from session_rec.evaluation.replay import replay, summarise
from session_rec.event_log import read_sessions
from session_rec.predictors.sequential_rules import SequentialRules
from session_rec.schedule import schedule

GAP = 30 * 60_000
N = 60


@pytest.fixture
def recommender(tmp_path):
    rng = np.random.default_rng(0)
    steps = [np.cumsum(rng.integers(0, 3, rng.integers(2, 9))) % (N - 5) for _ in range(300)]
    sessions = Ragged.from_lists([s.tolist() for s in steps])
    catalog = Catalog(tuple(f"i{n:02}" for n in range(N)), np.bincount(sessions.rows, minlength=N))
    save_bundle(
        tmp_path / "m",
        catalog,
        SequentialRules.fit(sessions, N),
        SessionRules(max_length=4),
        data_fingerprint="x",
    )
    return Recommender.load(tmp_path / "m")


@pytest.fixture
def recorded():
    """Clicks of 40 sessions: (session, item, ts), some items unknown, some gaps."""
    rng = np.random.default_rng(1)
    clicks = []
    for s in range(40):
        ts = int(rng.integers(0, 10_000_000))
        for _ in range(rng.integers(1, 9)):
            ts += int(rng.choice([1_000, 60_000, GAP, GAP + 1]))
            clicks.append((f"s{s:02}", f"i{rng.integers(0, N + 5):02}", ts))
    return clicks


@pytest.fixture
def log(tmp_path, recorded):
    values = ", ".join(str(c) for c in recorded)
    path = tmp_path / "log.parquet"
    duckdb.sql(
        f"COPY (SELECT * FROM (VALUES {values}) t(session_id, item_id, ts)) TO '{path}' "
        "(FORMAT parquet)"
    )
    return read_sessions(path)


def prefixes(recorded):
    """(place in the log, context, next item) by the rule, in plain Python."""
    context: list[str] = []
    for p, (session, item, ts) in enumerate(recorded[:-1]):
        same = p > 0 and recorded[p - 1][0] == session and ts - recorded[p - 1][2] <= GAP
        context = [*(context if same else []), item][-4:]
        next_session, next_item, next_ts = recorded[p + 1]
        if next_session == session and next_ts - ts <= GAP:
            yield p, list(context), next_item


def test_evaluation_equals_a_naive_loop(recommender, log, recorded):
    expected = []
    for _, context, target in prefixes(recorded):
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


def test_replay_shows_what_the_recommender_says_of_each_prefix(recommender, log, recorded):
    answers = replay(recommender, log)
    questions = list(prefixes(recorded))
    for p, context, _ in questions:
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
    answers.slates[:] = None
    gone = summarise(recommender, log, answers, recommender.rules, "test")
    assert gone.metrics["hr@20"] == 0
    assert gone.missing == gone.protocol.questions


def test_an_open_loop_counts_from_the_scheduled_time(recommender, log):
    answers = replay(recommender, log, plan=schedule(log, rate=2_000))
    assert answers.seconds >= (len(log) - 1) / 2_000
    assert (answers.latency > 0).all()


def test_a_log_without_a_next_event_is_refused(recommender, tmp_path):
    path = tmp_path / "one.parquet"
    duckdb.sql(f"COPY (SELECT 's' session_id, 'i01' item_id, 1 ts) TO '{path}' (FORMAT parquet)")
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(recommender, read_sessions(path), name="m", split="test")
