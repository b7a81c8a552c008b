"""A shop whose best settings follow from a formula, written to a file."""

from __future__ import annotations

import importlib

import duckdb
import pytest

#: The package has a function of the same name.
evaluate_module = importlib.import_module("session_rec.evaluation.evaluate")

#: 2026-03-01 00:00 UTC.
START = 1_772_323_200_000
HOUR = 3_600_000


def write_sessions(path, sessions, test=(), first=START):
    """Words of one-letter items, an hour between sessions, a second between clicks. ``test``
    sessions come last, under another ``split``."""
    rows = [
        (f"s{number}", item, first + number * HOUR + 1000 * place, split)
        for number, (items, split) in enumerate(
            [(s, "train") for s in sessions] + [(s, "test") for s in test]
        )
        for place, item in enumerate(items)
    ]
    con = duckdb.connect()
    con.execute("CREATE TABLE t (session_id VARCHAR, item_id VARCHAR, ts BIGINT, split VARCHAR)")
    con.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    con.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    return path


#: For ``session-popularity`` with decay x. In "aaba" the last a stands before b where x + x^2 > 1
#: (x > .618); in "ccccddd" the last d before c where 1 + x > x^2 + x^3 + x^4 + x^5 (x < .785), and
#: the second d where 1 > x + x^2 + x^3 + x^4 (x < .519), which is rarer than the first rule.
PLANTED = ["aaba", "ccccddd", "aaba", "aaba"] * 25
BEST_DECAY = (0.618, 0.785)


@pytest.fixture(scope="module", autouse=True)
def no_intervals():
    """A search looks at no interval, and drawing them takes longer than all else on this shop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate_module, "session_intervals", lambda *rest, **named: {})
        yield


@pytest.fixture
def planted(tmp_path):
    """The shop as a file."""
    return write_sessions(tmp_path / "shop.parquet", PLANTED)
