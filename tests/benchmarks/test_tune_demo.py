"""The tuning job on sessions whose figures a reader can work out."""

import json

import duckdb
import pytest

from benchmarks import tune_demo
from benchmarks.demo_search import propose
from session_rec.sessions import SessionRules


@pytest.fixture
def prepared(tmp_path):
    """20 older items once each; then 1 -> 2 ten times: the newest half knows that alone."""
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    train = [[100 + 2 * i, 101 + 2 * i] for i in range(10)] + [[1, 2]] * 10
    # Four questions: 1 -> 2 three times, 100 -> 101 once.
    for name, log in (("train", train), ("validation", [[1, 2]] * 3 + [[100, 101]])):
        rows = [
            (f"{name}{s}", str(item), 1_700_000_000_000 + 60_000 * s + p, "view")
            for s, items in enumerate(log)
            for p, item in enumerate(items)
        ]
        con = duckdb.connect()
        con.execute("CREATE TABLE t (session_id VARCHAR, item_id VARCHAR, ts BIGINT, type VARCHAR)")
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        con.execute(f"COPY t TO '{sessions / f'{name}.parquet'}' (FORMAT parquet)")
    rules = {"session_rules": SessionRules("shop").to_dict()}
    (sessions / "prepare.json").write_text(json.dumps(rules))
    return sessions


def test_a_trial_trains_on_the_newest_share_and_scores_validation(prepared, tmp_path):
    job = tune_demo.Job(prepared, tmp_path / "trials")
    settings = propose("sequential-rules", [], 1)
    every = job.trial("sequential-rules", 0, settings, 1.0)
    assert every.hr20 == 1.0 and every.mrr20 == 1.0
    half = job.trial("sequential-rules", 1, settings, 0.5)
    # The newest half has no rule for 100, so popularity: 1 and 2, then 100 and 101: rank 4.
    assert half.mrr20 == pytest.approx((3 + 1 / 4) / 4)
    assert half.hr20 == 1.0


def test_a_finished_trial_is_not_run_again(prepared, tmp_path, monkeypatch):
    job = tune_demo.Job(prepared, tmp_path / "trials")
    first = job.trial("session-popularity", 1, {"decay": 0.8}, 0.5)

    def never(*arguments, **named):
        raise AssertionError("trained again")

    monkeypatch.setattr(tune_demo, "fit_model", never)
    again = tune_demo.Job(prepared, tmp_path / "trials")
    assert again.trial("session-popularity", 1, {"decay": 0.8}, 0.5) == first
    with pytest.raises(AssertionError):
        again.trial("session-popularity", 2, {"decay": 0.7}, 0.5)


def test_the_test_split_need_not_be_there_and_all_is_written(prepared, tmp_path):
    assert not (prepared / "test.parquet").exists()
    trials = tmp_path / "trials"
    tune_demo.tune_demo(prepared, trials, "popularity,session-popularity", 0.5, 1, False)
    written = json.loads((trials / "tuning.json").read_text())
    assert [t["kind"] for t in written["trials"]] == ["popularity"] + ["session-popularity"] * 8
    assert [t["kind"] for t in written["chosen"]] == ["popularity", "session-popularity"]
    assert all(t["share"] == 1.0 for t in written["chosen"])
    assert "session-popularity" in (trials / "tuning.md").read_text()
