"""Benchmarks are scripts beside the packages: tests find them from the repository's root."""

import sys
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


@pytest.fixture
def write_sessions(tmp_path):
    """Writes sessions as ``(split, items)`` with one event a second, one session an hour."""

    def write(sessions, first_ts=1_400_000_000, hour=3600, name="shop"):
        rows = [
            (s, item, first_ts + hour * s + p, None, split)
            for s, (split, items) in enumerate(sessions)
            for p, item in enumerate(items)
        ]
        con = duckdb.connect()
        con.execute(
            "CREATE TABLE t (session_id BIGINT, item_id BIGINT, ts BIGINT, event_type VARCHAR, "
            "split VARCHAR)"
        )
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
        path = tmp_path / f"{name}.parquet"
        con.execute(f"COPY t TO '{path}' (FORMAT parquet)")
        return path

    return write
