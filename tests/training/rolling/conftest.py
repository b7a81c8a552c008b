"""Timed logs of a few sessions, written as a reader would tell them."""

import duckdb
import pytest

HOUR = 3_600_000
DAY = 24 * HOUR
#: 2026-03-01 00:00 UTC.
START = 1_772_323_200_000


def write_log(path, sessions):
    """Sessions as ``(id, [(item, ms since START), ...])``, in the order of the file."""
    rows = [(name, item, START + at) for name, events in sessions for item, at in events]
    con = duckdb.connect()
    con.execute("CREATE TABLE t (session_id VARCHAR, item_id VARCHAR, ts BIGINT)")
    con.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    con.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    return path


def at_day(day, items, number=0, name=None):
    """A session of ``items``, a second apart, on ``day`` (from 0)."""
    begin = day * DAY + HOUR + number * 60_000
    return (
        name or f"{day}-{number}",
        [(item, begin + 1000 * i) for i, item in enumerate(items)],
    )


def days(*per_day):
    """Sessions of item ids such as ``"ab"``, a list per day."""
    return [
        at_day(d, items, n)
        for d, sessions in enumerate(per_day)
        for n, items in enumerate(sessions)
    ]


@pytest.fixture
def write(tmp_path):
    """Writes a log and gives its path."""
    return lambda sessions, name="log": write_log(tmp_path / f"{name}.parquet", sessions)
