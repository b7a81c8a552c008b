import numpy as np
import pytest

from benchmarks.data import in_time_order, last_sessions, read_benchmark
from session_rec.errors import DataError

TRAIN = [("train", [1, 2]), ("train", [3, 4, 5]), ("train", [1, 9])]
TEST = [("test", [1, 2, 7])]


def test_seconds_are_read_as_milliseconds(write_sessions):
    data = read_benchmark(write_sessions(TRAIN + TEST))
    assert data.has_clock
    assert data.train.ts[:2].tolist() == [1_400_000_000_000, 1_400_000_001_000]
    assert len(data.train) == 7 and len(data.test) == 3


def test_milliseconds_are_taken_as_they_are(write_sessions):
    data = read_benchmark(write_sessions(TRAIN + TEST, first_ts=1_400_000_000_000))
    assert data.has_clock
    assert data.train.ts[1] == 1_400_000_000_001


def test_a_running_number_is_no_clock_and_file_order_is_time_order(write_sessions):
    data = read_benchmark(write_sessions(TRAIN + TEST, first_ts=100, hour=-10))
    assert not data.has_clock
    assert data.train.ts.tolist() == list(range(7))
    rest, newest = last_sessions(data.train, 0.34)
    assert newest.session_ids == ("2",)
    assert rest.session_ids == ("0", "1")


def test_the_newest_sessions_are_held_out_by_their_last_event(write_sessions):
    # Sessions in the file from the newest to the oldest.
    data = read_benchmark(write_sessions(TRAIN + TEST, hour=-3600))
    rest, newest = last_sessions(data.train, 0.34)
    assert newest.session_ids == ("0",)
    assert rest.session_ids == ("2", "1")
    assert [rest.item_ids[i] for i in rest.item] == ["1", "9", "3", "4", "5"]
    assert "2" not in rest.item_ids  # only the held-out session has it
    assert rest.session.tolist() == [0, 0, 1, 1, 1]
    assert (np.diff(rest.ts[[1, 4]]) > 0).all()
    assert in_time_order(data.train).session_ids == ("2", "1", "0")
    assert len({rest.fingerprint, newest.fingerprint, data.train.fingerprint}) == 3


def test_too_few_sessions_cannot_be_split(write_sessions):
    data = read_benchmark(write_sessions(TRAIN + TEST))
    with pytest.raises(DataError, match="3 training sessions are too few"):
        last_sessions(data.train, 0.08)


def test_what_cannot_be_read_is_said_in_one_sentence(write_sessions, tmp_path):
    with pytest.raises(DataError, match="is not there"):
        read_benchmark(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(DataError, match="is not a Parquet file"):
        read_benchmark(tmp_path / "text.parquet")
    with pytest.raises(DataError, match="holds no event where split = 'test'"):
        read_benchmark(write_sessions(TRAIN))
    import duckdb

    duckdb.sql("SELECT 1 AS session_id, 2 AS item_id, 3 AS ts").write_parquet(
        str(tmp_path / "columns.parquet")
    )
    with pytest.raises(DataError, match="has no column split"):
        read_benchmark(tmp_path / "columns.parquet")
    duckdb.sql("SELECT 1 session_id, 2 item_id, 'noon' ts, 'test' split").write_parquet(
        str(tmp_path / "words.parquet")
    )
    with pytest.raises(DataError, match="ts must be whole numbers"):
        read_benchmark(tmp_path / "words.parquet")
