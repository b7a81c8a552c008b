"""`session-rec prepare` on small logs, worked by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
from typer.testing import CliRunner

from session_rec.catalog import Catalog
from session_rec.errors import DataError
from session_rec.event_log import read_sessions
from session_rec.sessions import SessionRules
from training.prepare.commands import register
from training.prepare.config import PrepareConfig
from training.prepare.job import prepare

T0 = 1_700_000_000_000
MINUTE = 60_000
DAY = 24 * 60 * MINUTE


def read(directory: Path, split: str, columns: str = "session_id, item_id, ts, type, seq") -> list:
    file = directory / f"{split}.parquet"
    return duckdb.sql(f"SELECT {columns} FROM read_parquet('{file}')").fetchall()


def sessions_that_models_see(file: Path) -> list[int]:
    """Their lengths, as training cuts the file; the oldest last event first."""
    log = read_sessions(file)
    catalog = Catalog.from_counts(dict.fromkeys(log.item_ids, 1))
    return log.training_sessions(catalog, SessionRules()).lengths.tolist()


def write_lines(path: Path, header: str, lines: list[str]) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def settings(source: Path, **changes: Any) -> PrepareConfig:
    return PrepareConfig.model_validate({"input": str(source), **changes})


def small_log(directory: Path) -> Path:
    """One session with the items 007, 1, 2 and an event that was sent twice."""
    lines = [f"a,{item},{T0 + n}" for n, item in ((0, "007"), (1, "1"), (1, "1"), (2, "2"))]
    return write_lines(directory / "log.csv", "session_id,item_id,ts", lines)


HOSTILE = """who,what,when,event,n
,1,0,view,0
v,,0,view,0
v,1,,view,0
v,1,yesterday,view,0
v,1,-5,view,0
v,1,0,view,x
LONG,1,0,view,0
v,1,0,search,0
v,1,999999,view,0
v,1
v,1,0,view,0
v,2,10,view,0
v,1,0,view,7
v,rare,1000,view,0
v,1,2000,view,0
v,2,2010,,0
one,1,50,view,0
bot,1,60,view,0
bot,2,61,view,0
bot,1,62,view,0
bot,2,63,view,0
fast,1,70,view,0
fast,2,70,view,1
fast,1,70,cart,2
gone,rare2,80,view,0
w,1,7000,purchased,0
w,2,7001,view,0
t,new,100000,view,0
u,1,100001,view,5
u,2,100001,view,2
"""


def test_every_reason_for_a_drop_worked_by_hand(tmp_path: Path) -> None:
    """Seconds; gap of 30 minutes: v goes 0, 10, 1000 (a rare item), 2000, 2010. Without the rare
    item a gap of 33 minutes is left, so v falls apart into two sessions."""
    log = tmp_path / "log.csv"
    base = T0 // 1000
    lines = HOSTILE.replace("LONG", "x" * 257).splitlines()
    shifted = [lines[0]]
    for line in lines[1:]:
        cells = line.split(",")
        if len(cells) > 2 and cells[2].isdigit():
            cells[2] = str(base + int(cells[2]))
        shifted.append(",".join(cells))
    log.write_text("\n".join(shifted))
    config = settings(
        log,
        columns={"session_id": "who", "item_id": "what", "ts": "when", "type": "event", "seq": "n"},
        ts_unit="s",
        max_malformed_share=0.1,
        max_unparsed_ts_share=0.1,
        type_names={"purchased": "purchase"},
        keep_types=["view", "cart", "purchase"],
        end=datetime.fromtimestamp(base + 200_000, UTC),
        bots={"max_events": 5, "min_seconds_per_event": 0.5, "fast_events": 3},
        min_item_support=2,
        split={"test_days": 0.5, "validation_days": 0.1},
    )
    report = prepare(config, tmp_path / "out")
    assert report.rows == 30
    assert report.dropped_rows == {
        "malformed line": 1,
        "no session id": 1,
        "no item id": 1,
        "no time": 1,
        "time does not parse": 1,
        "time out of range": 1,
        "seq is no number from 0": 1,
        "text too long": 1,
        "event type not kept": 1,
        "outside start and end": 1,
        "duplicates": 1,
    }
    assert report.sessions == 8  # v, one, bot, fast, gone, w, t, u
    # `bot` has 4 events in 3 s, within both limits; `fast` has 3 in 0 s.
    assert report.dropped == {
        "bots": (3, 1),
        "rare items": (2, 1),
        "short sessions": (1, 1),
    }
    assert report.sessions_split == 1
    train = [(s, i, t // 1000 - base, k, n) for s, i, t, k, n in read(tmp_path / "out", "train")]
    assert train == [
        ("v", "1", 0, "view", 0),
        ("v", "2", 10, "view", 0),
        ("v", "1", 2000, "view", 0),
        ("v", "2", 2010, "view", 0),
        ("bot", "1", 60, "view", 0),
        ("bot", "2", 61, "view", 0),
        ("bot", "1", 62, "view", 0),
        ("bot", "2", 63, "view", 0),
        ("w", "1", 7000, "purchase", 0),
        ("w", "2", 7001, "view", 0),
    ]
    assert report.splits["train"]["sessions"] == 4
    assert sessions_that_models_see(tmp_path / "out" / "train.parquet") == [2, 4, 2, 2]
    assert read(tmp_path / "out", "validation") == []
    # Test keeps what is rare, unknown or alone; u's events stand in the order of seq.
    test = [(s, i, t // 1000 - base, n) for s, i, t, _, n in read(tmp_path / "out", "test")]
    assert test == [("t", "new", 100000, 0), ("u", "2", 100001, 2), ("u", "1", 100001, 5)]
    assert report.splits["test"]["events_of_items_not_in_train"] == 1


def test_support_and_length_are_repeated_until_neither_drops_anything(tmp_path: Path) -> None:
    # c is rare; without it s3 is short; without s3, b is rare; without b, s2 is short.
    sessions = {"s1": "aaa", "s2": "ab", "s3": "bc"}
    lines = [
        f"{s},{i},{T0 + n * 1000}" for s, items in sessions.items() for n, i in enumerate(items)
    ]
    log = write_lines(tmp_path / "log.csv", "session_id,item_id,ts", lines)
    for passes, left in ((1, "aaaab"), (2, "aaa"), (20, "aaa")):
        config = settings(log, min_item_support=2, split={"test_days": 0}, max_passes=passes)
        report = prepare(config, tmp_path / str(passes))
        assert "".join(r[1] for r in read(tmp_path / str(passes), "train")) == left
        stopped = any("another pass would drop more" in note for note in report.notes)
        assert stopped == (passes < 3)
    assert report.passes == 3


def test_a_visit_across_a_border_belongs_to_where_it_starts(tmp_path: Path) -> None:
    starts = [0, 2 * DAY, 3 * DAY - 2 * MINUTE, 3 * DAY + 1, 4 * DAY]
    lines = []
    for n, start in enumerate(starts):
        lines += [f"s{n},{i},{T0 + start + k * 3 * MINUTE}" for k, i in enumerate("ab")]
    log = write_lines(tmp_path / "log.csv", "session_id,item_id,ts", lines)
    config = settings(log, split={"test_days": 1, "validation_days": 1})
    prepare(config, tmp_path / "days")
    found = {
        split: sorted({r[0] for r in read(tmp_path / "days", split)})
        for split in ("train", "validation", "test")
    }
    # The newest session starts on day 4: test is after day 3, validation after day 2.
    assert found == {"train": ["s0", "s1"], "validation": ["s2"], "test": ["s3", "s4"]}
    config = settings(log, split={"test_fraction": 0.2, "validation_fraction": 0.4})
    prepare(config, tmp_path / "fractions")
    found = {
        split: sorted({r[0] for r in read(tmp_path / "fractions", split)})
        for split in ("train", "validation", "test")
    }
    assert found == {"train": ["s0", "s1"], "validation": ["s2", "s3"], "test": ["s4"]}


def test_pairs_takes_sessions_and_their_order_as_given(tmp_path: Path) -> None:
    rows = ["x,1,3", "x,1,3", "x,2,1", "y,9,4", "y,9,2000000"]
    log = write_lines(tmp_path / "log.csv", "session_id,item_id,ts", rows)
    config = settings(
        log, session_rules={"name": "pairs"}, split={"test_fraction": 0.5}, min_item_support=2
    )
    report = prepare(config, tmp_path / "out")
    assert report.time.unit == "index"
    assert report.dropped_rows["duplicates"] == 0
    train = read(tmp_path / "out", "train", "session_id, item_id, ts, seq")
    assert train == [("x", "1", 3, 0), ("x", "1", 3, 1)]  # item 2 is rare
    test = read(tmp_path / "out", "test", "session_id, item_id, ts, seq")
    assert test == [("y", "9", 4, 3), ("y", "9", 2000000, 4)]


def test_the_catalog_is_copied_by_id(tmp_path: Path) -> None:
    small_log(tmp_path)
    catalog = write_lines(
        tmp_path / "items.csv",
        "sku,title,price",
        ["2,Blue cup,3.50", "007,,1", "2,Another,9", ",No id,4"],
    )
    source = {
        "input": str(catalog),
        "item_id": "sku",
        "features": {"name": "title", "price": "price"},
        "numbers": ["price"],
    }
    config = settings(tmp_path / "log.csv", split={"test_days": 0}, catalog=source)
    report = prepare(config, tmp_path / "out")
    assert read(tmp_path / "out", "catalog", "item_id, name, price") == [
        ("007", None, 1.0), ("2", "Blue cup", 3.5),
    ]  # fmt: skip
    assert report.catalog is not None
    assert report.catalog["rows_dropped"] == 2
    assert report.catalog["train_items_not_in_catalog"] == 1
    catalog.write_text("sku,title,price\n2,Cup,cheap\n")
    with pytest.raises(DataError, match="price of item '2' is 'cheap', which is no number"):
        prepare(config, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_command_prints_the_counts(tmp_path: Path) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    small_log(tmp_path)
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    arguments = ["prepare", "--input", str(tmp_path / "log.csv"), "--out", str(out)]
    arguments += ["--set", "split.test_days=0", "--json", str(figures)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "what was dropped and why" in result.output
    assert "duplicates" in result.output
    assert json.loads(figures.read_text()) == json.loads((out / "prepare.json").read_text())
