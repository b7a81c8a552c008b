"""Which sessions are shown click by click, and what is printed of them."""

import io

import duckdb
import numpy as np
import pytest
from rich.console import Console

from session_rec import Catalog, SessionRules
from session_rec.event_log import read_sessions
from session_rec.schedule import schedule
from streaming.messages import Prediction
from streaming.unfold import Unfolding, choose_sessions

CATALOG = Catalog(
    tuple("abcdef"), np.ones(6, np.int64), {"name": [f"Product {c}" for c in "ABCDEF"]}
)


@pytest.fixture
def log(tmp_path):
    clicks = [("short", "a", 0), ("short", "b", 1)]
    clicks += [("one", i, 10 + n) for n, i in enumerate("abcde")]
    clicks += [("overlaps", i, 12 + n) for n, i in enumerate("abcde")]
    clicks += [("unknown", i, 50 + n) for n, i in enumerate("abqde")]
    clicks += [("two", i, 100 + n) for n, i in enumerate("fabcde")]
    values = ", ".join(str(c) for c in clicks)
    path = tmp_path / "log.parquet"
    duckdb.sql(
        f"COPY (SELECT * FROM (VALUES {values}) t(session_id, item_id, ts)) TO '{path}' "
        "(FORMAT parquet)"
    )
    return read_sessions(path)


@pytest.mark.parametrize(("count", "names"), [(0, []), (1, ["one"]), (9, ["one", "two"])])
def test_whole_known_sessions_that_do_not_overlap_are_chosen(log, count, names):
    chosen = choose_sessions(log, schedule(log), CATALOG, SessionRules(), count)
    assert [log.session_ids[s] for s in chosen] == names


def test_nothing_waits_where_nothing_is_shown(log):
    plan = schedule(log)
    unfolding = Unfolding(log, [], CATALOG, Console(file=io.StringIO()))
    assert not unfolding.pauses(plan).any()


def test_clicks_stand_beside_what_was_predicted(log):
    said = io.StringIO()
    chosen = choose_sessions(log, schedule(log), CATALOG, SessionRules(), 1)
    unfolding = Unfolding(log, chosen, CATALOG, Console(file=said, width=100))
    assert unfolding.pauses(schedule(log)).sum() == 5
    for ts, slate in ((10, ["f", "b"]), (11, ["a"]), (12, ["d"])):
        unfolding(Prediction(1, f"t-0-{ts}", "one", ts, 0, "m", slate, [1.0] * len(slate), 1,
                             False, True))  # fmt: skip
    lines = said.getvalue().splitlines()
    assert "view     Product B  predicted at rank 2" in said.getvalue()
    assert any(line.endswith("Product C  not among the 20") for line in lines)
    assert "      1. Product F" in lines
