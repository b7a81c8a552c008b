"""Which sessions a search trains on and scores."""

import msgspec
import numpy as np
import pytest

from benchmarks.data import last_sessions, read_benchmark
from session_rec.config import parse_config
from session_rec.errors import ConfigError, DataError
from session_rec.sessions import SessionRules
from training.tune.config import TuneConfig
from training.tune.data import read_tune_data

from .conftest import HOUR, START, write_sessions

SESSIONS = ["ab", "abc", "bca", "cab", "ba", "bc", "dab", "abd", "bda", "cb"]


def read(path, **settings):
    return read_tune_data(path, parse_config(settings, TuneConfig, "tune.toml"))


def words(log):
    return ["".join(log.item_ids[i] for i in log.item[log.session == s]) for s in set(log.session)]


def test_the_newest_slice_is_the_one_that_benchmarks_score(tmp_path):
    path = write_sessions(tmp_path / "shop.parquet", SESSIONS, test=["abc", "dd"])
    (cut,) = read(path, validation=0.2).slices
    rest, newest = last_sessions(read_benchmark(path).train, 0.2)
    for ours, theirs in ((cut.train, rest), (cut.scored, newest)):
        assert ours.session_ids == theirs.session_ids
        assert words(ours) == words(theirs)
        assert np.array_equal(ours.ts, theirs.ts)


def test_no_test_session_is_looked_at(tmp_path):
    data = [
        read(write_sessions(tmp_path / f"{n}.parquet", SESSIONS, test), validation=0.2)
        for n, test in enumerate([["abc", "dd"], ["xyz"], []])
    ]
    assert len({d.fingerprint for d in data}) == 1
    (cut,) = data[1].slices
    assert not {"x", "y", "z"} & {*cut.train.item_ids, *cut.scored.item_ids}


def test_several_slices_are_one_before_the_other_and_train_on_what_came_before(tmp_path):
    path = write_sessions(tmp_path / "shop.parquet", SESSIONS)
    slices = read(path, validation=0.2, slices=3).slices
    assert [words(s.scored) for s in slices] == [["bda", "cb"], ["dab", "abd"], ["ba", "bc"]]
    assert [words(s.train) for s in slices] == [SESSIONS[:8], SESSIONS[:6], SESSIONS[:4]]
    # An item that only later sessions have is in no catalog of an earlier slice.
    assert [s.catalog.item_ids for s in slices] == [
        ("a", "b", "c", "d"),
        ("a", "b", "c"),
        ("a", "b", "c"),
    ]
    halves = read(path, validation=0.2, slices=2, train_share=0.5).slices
    assert [words(s.train) for s in halves] == [SESSIONS[4:8], SESSIONS[3:6]]


def test_a_session_id_that_came_back_is_two_sessions_under_rules_with_a_gap(tmp_path):
    path = write_sessions(tmp_path / "shop.parquet", SESSIONS)
    import duckdb

    # The visitor of the first session comes back last.
    later = START + 99 * HOUR
    duckdb.sql(
        f"""CREATE TABLE t AS SELECT session_id, item_id, ts FROM '{path}' UNION ALL
        VALUES ('s0', 'd', {later}), ('s0', 'a', {later + 1})"""
    )
    duckdb.sql(f"COPY (FROM t ORDER BY session_id, ts) TO '{path}' (FORMAT parquet)")
    (cut,) = read(path, validation=0.1, session_rules={"name": "shop"}).slices
    assert words(cut.scored) == ["da"] and words(cut.train) == SESSIONS


def test_a_directory_gives_its_training_sessions_under_its_own_rules(tmp_path):
    write_sessions(tmp_path / "train.parquet", SESSIONS)
    rules = SessionRules(inactivity_ms=1234)
    (tmp_path / "prepare.json").write_bytes(msgspec.json.encode({"session_rules": rules.to_dict()}))
    data = read(tmp_path, validation=0.2)
    assert data.rules == rules and data.has_clock
    with pytest.raises(ConfigError, match="has its own session_rules"):
        read(tmp_path, session_rules={"name": "pairs"})


def test_what_cannot_be_tuned_on_is_said_in_one_sentence(tmp_path):
    with pytest.raises(DataError, match="is not there"):
        read(tmp_path / "none.parquet")
    with pytest.raises(DataError, match="run session-rec prepare first"):
        read(tmp_path)
    path = write_sessions(tmp_path / "shop.parquet", SESSIONS)
    with pytest.raises(DataError, match="10 training sessions are too few"):
        read(path)
    with pytest.raises(DataError, match="too few for 5 validation slices of 20%"):
        read(path, validation=0.2, slices=5)
    with pytest.raises(DataError, match="no column who"):
        read(path, columns={"session_id": "who"})


def test_a_file_without_a_clock_is_taken_in_its_order(tmp_path):
    path = write_sessions(tmp_path / "shop.parquet", SESSIONS, first=1)
    data = read(path, validation=0.2)
    assert not data.has_clock
    assert words(data.slices[0].scored) == ["bda", "cb"]
    with pytest.raises(ConfigError, match="ts is no clock, so sessions cannot be cut by time"):
        read(path, session_rules={"name": "shop"})
