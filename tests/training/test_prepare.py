"""`session-rec prepare` on small files: worked by hand, in all formats, and what it refuses."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from session_rec.config import load_config
from session_rec.errors import ConfigError, DataError, UserError
from training.prepare.commands import register
from training.prepare.config import PrepareConfig
from training.prepare.job import prepare

T0 = 1_700_000_000_000
MINUTE = 60_000
DAY = 24 * 60 * MINUTE
FILES = ("train.parquet", "validation.parquet", "test.parquet")


def read(directory: Path, split: str, columns: str = "session_id, item_id, ts, type, seq") -> list:
    file = directory / f"{split}.parquet"
    return duckdb.sql(f"SELECT {columns} FROM read_parquet('{file}')").fetchall()


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in FILES}


def write_lines(path: Path, header: str, lines: list[str]) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def settings(source: Path, **changes: Any) -> PrepareConfig:
    return PrepareConfig.model_validate({"input": str(source), **changes})


SHOP_DAY = [
    # session, item, minutes after T0, type, device
    ("b", "1", 0, "view", "phone"),
    ("a", "007", 1, "view", "desktop"),
    ("a", "1", 2, "cart", "desktop"),
    ("b", "2", 3, "view", "phone"),
    ("a", "1", 2, "cart", "desktop"),  # sent twice
    ("a", "2", 1.5, "view", "desktop"),  # late
    ("a", "1", 100, "view", "desktop"),  # the same id, another visit
    ("a", "2", 101, "view", None),
]


def parquet(path: Path, rows: list[tuple]) -> None:
    table = pa.table(
        {
            "session_id": [r[0] for r in rows],
            "item_id": [r[1] for r in rows],
            "ts": pa.array([T0 + int(r[2] * MINUTE) for r in rows], pa.int64()),
            "kind": [r[3] for r in rows],
            "device": [r[4] for r in rows],
        }
    )
    pq.write_table(table, path)


def comma_separated(path: Path, rows: list[tuple]) -> None:
    lines = ["session_id,item_id,ts,kind,device"]
    lines += [f"{s},{i},{T0 + int(m * MINUTE)},{t},{d or ''}" for s, i, m, t, d in rows]
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def json_lines(path: Path, rows: list[tuple]) -> None:
    with path.open("w") as f:
        for s, i, m, t, d in rows:
            event = {"kind": t, "ts": T0 + int(m * MINUTE), "item_id": i, "session_id": s}
            f.write(json.dumps(event | ({"device": d} if d else {})) + "\n")


WRITERS: dict[str, Callable[[Path, list[tuple]], None]] = {
    "log.parquet": parquet,
    "log.csv": comma_separated,
    "log.csv.gz": comma_separated,
    "log.jsonl": json_lines,
    "log.ndjson": json_lines,
}
MAPPED = {"type": "kind", "features": {"device": "device"}}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_sessions(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, SHOP_DAY)
    config = settings(tmp_path / name, columns=MAPPED, split={"test_days": 0})
    report = prepare(config, tmp_path / "out")
    columns = "session_id, item_id, (ts - 1700000000000) / 60000, type, seq, device"
    assert read(tmp_path / "out", "train", columns) == [
        ("b", "1", 0, "view", 0, "phone"),
        ("b", "2", 3, "view", 3, "phone"),
        ("a", "007", 1, "view", 1, "desktop"),
        ("a", "2", 1.5, "view", 5, "desktop"),
        ("a", "1", 2, "cart", 2, "desktop"),
        ("a", "1", 100, "view", 6, "desktop"),
        ("a", "2", 101, "view", 7, None),
    ]
    schema = pq.read_schema(tmp_path / "out" / "test.parquet")
    assert [str(t) for t in schema.types] == ["string"] * 2 + ["int64", "string", "int64", "string"]
    assert report.dropped_rows["duplicates"] == 1
    assert report.splits["train"] | {"first_ts": 0, "last_ts": 0} == {
        "events": 7, "sessions": 3, "session_ids": 2, "items": 3,
        "events_of_items_not_in_train": 0, "first_ts": 0, "last_ts": 0,
    }  # fmt: skip
    kept = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert kept["rows"] == 8
    assert kept["time"] == {"unit": "ms", "detected": True}
    assert kept["session_rules"]["name"] == "shop"
    assert not (tmp_path / "out" / "catalog.parquet").exists()
    assert not list(tmp_path.glob(".*"))


def test_the_bytes_are_equal_for_every_format_run_and_number_of_threads(tmp_path: Path) -> None:
    rows = [
        (f"s{n * 7 % 251}", f"i{n * 13 % 37}", n * 0.037, ("view", "cart")[n % 2], "phone")
        for n in range(4000)
    ]
    seen = []
    for n, (name, write) in enumerate(WRITERS.items()):
        write(tmp_path / name, rows)
        engine = {"threads": 1 + n % 4, "memory_limit": f"{200 + 100 * n}MB"}
        config = settings(tmp_path / name, columns=MAPPED, min_item_support=90, engine=engine)
        prepare(config, tmp_path / f"{n}")
        seen.append(bytes_of(tmp_path / f"{n}"))
        if n == 0:
            prepare(config, tmp_path / "again")
            assert (tmp_path / "again" / "prepare.json").read_bytes() == (
                tmp_path / "0" / "prepare.json"
            ).read_bytes()
            seen.append(bytes_of(tmp_path / "again"))
    assert all(s == seen[0] for s in seen)


def test_a_directory_is_its_files_in_order_and_columns_may_move(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    (logs / "day=2").mkdir(parents=True)
    write_lines(logs / "a.csv", "session_id,item_id,ts", [f"s,1,{T0}"])
    write_lines(logs / "b.csv", "ts,extra,session_id,item_id", [f"{T0},x,s,2"])
    write_lines(logs / "day=2" / "c.csv", "session_id,item_id,ts", [f"s,3,{T0}"])
    write_lines(logs / "_temporary.csv", "nothing", ["x"])
    (logs / "notes.txt").write_text("not a log")
    config = settings(logs, split={"test_days": 0})
    prepare(config, tmp_path / "out")
    assert [r[1:] for r in read(tmp_path / "out", "train", "session_id, item_id, seq")] == [
        ("1", 0), ("2", 1), ("3", 2),
    ]  # fmt: skip
    prepare(settings(logs / "[ab].csv", split={"test_days": 0}), tmp_path / "glob")
    assert len(read(tmp_path / "glob", "train")) == 2


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


@pytest.mark.parametrize(
    ("unit", "values"),
    [
        ("s", ["1700000000", "1700000000.5", "1.7e9"]),
        ("ms", ["1700000000000", "1700000000500.9", "1.7e12"]),
        ("us", ["1700000000000000", "1700000000500999", "1700000000000999.5"]),
        ("ns", ["1700000000000000000", "1700000000500999999", "1700000000000000001"]),
        (
            "iso",
            ["2023-11-14T22:13:20Z", "2023-11-14 22:13:20.500999", "2023-11-15T00:13:20+02:00"],
        ),
    ],
)
def test_units_of_time_are_told_by_their_values(
    tmp_path: Path, unit: str, values: list[str]
) -> None:
    lines = [f"s,{n},{v}" for n, v in enumerate(values)]
    log = write_lines(tmp_path / "log.csv", "session_id,item_id,ts", lines)
    for given in ("auto", unit):
        out = tmp_path / given
        report = prepare(settings(log, ts_unit=given, split={"test_days": 0}), out)
        assert [r[2] - T0 for r in read(out, "train", "session_id, item_id, ts")] == [0, 0, 500]
        assert report.time.unit == unit
        assert any("were taken for" in n for n in report.notes) == (given == "auto")


@pytest.mark.parametrize(
    "ts",
    [
        pa.array([1_700_000_000, 1_700_000_000], pa.int32()),
        pa.array([1_700_000_000.0, 1_700_000_000.0005]),
        pa.array([T0 * 10**6, T0 * 10**6 + 999], pa.uint64()),
        pa.array([T0 * 10**6, T0 * 10**6 + 999], pa.timestamp("ns")),
        pa.array([T0 * 1000, T0 * 1000 + 999], pa.timestamp("us")),
        pa.array([T0, T0], pa.timestamp("ms", "Europe/Berlin")),
        pa.array(["2023-11-14T22:13:20Z"] * 2),
    ],
    ids=lambda a: str(a.type),
)
def test_times_and_ids_of_parquet_types(tmp_path: Path, ts: pa.Array) -> None:
    table = pa.table(
        {
            "session_id": pa.array([5.0, 5.0]),  # integers with gaps, as data frames write them
            "item_id": pa.array([1, 2], pa.int16()),
            "ts": ts,
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    prepare(settings(tmp_path / "log.parquet", split={"test_days": 0}), tmp_path / "out")
    assert read(tmp_path / "out", "train", "session_id, item_id, ts") == [
        ("5", "1", T0), ("5", "2", T0),
    ]  # fmt: skip


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


def test_json_ids_read_as_the_live_codec_reads_them(tmp_path: Path) -> None:
    lines = [
        f'{{"session_id": 7, "item_id": "007", "ts": {T0}}}',
        f'{{"session_id": "7", "item_id": 7, "ts": {T0 + 1}}}',
        f'{{"session_id": 7.0, "item_id": "\\u0041 \\"b\\"", "ts": {T0 + 2}.0}}',
        f'{{"session_id": {{}}, "item_id": "8", "ts": {T0 + 3}}}',
        "[1, 2]",
        '{"session_id": "cut o',
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    config = settings(tmp_path / "log.jsonl", split={"test_days": 0}, max_malformed_share=0.5)
    report = prepare(config, tmp_path / "out")
    assert [r[:2] for r in read(tmp_path / "out", "train")] == [
        ("7", "007"), ("7", "7"), ("7", 'A "b"'),
    ]  # fmt: skip
    assert report.dropped_rows["malformed line"] == 2
    assert report.dropped_rows["no session id"] == 1


def test_the_catalog_is_copied_by_id(tmp_path: Path) -> None:
    comma_separated(tmp_path / "log.csv", SHOP_DAY)
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


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    prints = []
    for name in ("a.csv", "b.csv"):
        comma_separated(tmp_path / name, SHOP_DAY)
        out = tmp_path / f"out-{name}"
        prepare(settings(tmp_path / name, split={"test_days": 0}), out)
        prints.append(json.loads((out / "prepare.json").read_text())["input"]["fingerprint"])
    assert prints[0] == prints[1]


GOOD = [f"s,{i},{T0 + i}" for i in range(4)]


@pytest.mark.parametrize(
    ("header", "lines", "changes", "sentence"),
    [
        pytest.param(
            "user,item_id,ts", GOOD, {}, r"no column 'session_id'; it has user, item_id, ts",
            id="a column is missing",
        ),
        pytest.param(
            "session_id,item_id,ts", GOOD, {"columns": {"features": {"d": "dev"}}},
            r"no column 'dev'", id="a feature is missing",
        ),
        pytest.param(
            "session_id,item_id,ts", [*GOOD, "s,9,soon", "s,9,later"], {},
            r"2 of 6 values of the time column 'ts' cannot be read as milliseconds \(row 5: 'soon'",
            id="times that do not parse",
        ),
        pytest.param(
            "session_id,item_id,ts", GOOD, {"ts_unit": "s"},
            r"4 of 4 values .* cannot be read as seconds", id="another unit than said",
        ),
        pytest.param(
            "session_id,item_id,ts", ["s,a,1", "s,b,2"], {},
            r"holds no clock but numbers from 1 to 2", id="a running index under shop",
        ),
        pytest.param(
            "session_id,item_id,ts", [*GOOD, "x", "y"], {},
            r"2 of 6 lines .* are no csv records .*line 6", id="too many malformed lines",
        ),
        pytest.param(
            "session_id,item_id,ts", GOOD, {"min_item_support": 2, "split": {"test_days": 0}},
            r"of 1 sessions none is left for training; the filter 'rare items' .*4 of 4 events",
            id="nothing is left",
        ),
        pytest.param(
            "session_id,item_id,ts", GOOD, {"split": {"test_days": 9}},
            r"the split leaves no session for training: all 1 start", id="all is held out",
        ),
        pytest.param(
            "session_id,item_id,ts", GOOD, {"keep_types": ["cart"]},
            r"no event is left of 4 rows .* 'event type not kept' \(4\)", id="no event is left",
        ),
        pytest.param("session_id,item_id,ts", [], {}, r"holds no row", id="no row"),
        pytest.param(
            "session_id,item_id,item_id,ts", ["s,1,1,5"], {}, r"more than one column 'item_id'",
            id="a column twice",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, header: str, lines: list[str], changes: dict[str, Any], sentence: str
) -> None:
    log = write_lines(tmp_path / "log.csv", header, lines)
    with pytest.raises(UserError, match=sentence) as error:
        prepare(settings(log, **changes), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "log.txt").write_text("x")
    (tmp_path / "not.parquet").write_text("certainly no parquet file")
    (tmp_path / "void.csv").write_text("")
    (tmp_path / "keys.jsonl").write_text(f'{{"sid": "s", "item_id": "i", "ts": {T0}}}\n' * 2)
    for name, sentence in {
        "nowhere.csv": "is not there",
        "nowhere*.csv": "is not there",
        "empty": "holds no file",
        "log.txt": "cannot tell its format",
        "not.parquet": "cannot be read as Parquet",
        "void.csv": "is empty",
        "keys.jsonl": "no column 'session_id'; it has item_id, sid, ts",
    }.items():
        with pytest.raises(DataError, match=sentence):
            prepare(settings(tmp_path / name), out)
        assert not out.exists()
    (tmp_path / "both.csv").write_text("session_id,item_id,ts\n")
    with pytest.raises(DataError, match="several formats"):
        prepare(settings(tmp_path), out)


def test_an_output_that_is_there_is_kept(tmp_path: Path) -> None:
    comma_separated(tmp_path / "log.csv", SHOP_DAY)
    config = settings(tmp_path / "log.csv", split={"test_days": 0})
    prepare(config, tmp_path / "out")
    with pytest.raises(DataError, match="already there"):
        prepare(config, tmp_path / "out")
    prepare(config, tmp_path / "out", replace=True)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("mim_item_support = 5", "unknown key 'mim_item_support'; .* 'min_item_support'"),
        ("ts_unit = 'index'", "no clock"),
        ("start = 2026-02-01\nend = 2026-01-01", "start must lie before end"),
        ("split = { test_days = 1, test_fraction = 0.1 }", "not by both"),
        ("columns = { features = { ts = 'x' } }", "cannot be called 'ts'"),
        ("engine = { memory_limit = 'much' }", "engine.memory_limit"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, line: str, sentence: str) -> None:
    (tmp_path / "prepare.toml").write_text(f"input = 'log.csv'\n{line}\n")
    with pytest.raises(ConfigError, match=sentence):
        load_config(tmp_path / "prepare.toml", PrepareConfig)


def test_the_shipped_settings_are_read() -> None:
    config = load_config(Path(__file__).parents[2] / "configs" / "prepare.toml", PrepareConfig)
    assert config.columns.type == "event_type"


def test_the_command_prints_the_counts(tmp_path: Path) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    comma_separated(tmp_path / "log.csv", SHOP_DAY)
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    arguments = ["prepare", "--input", str(tmp_path / "log.csv"), "--out", str(out)]
    arguments += ["--set", "split.test_days=0", "--json", str(figures)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "what was dropped and why" in result.output
    assert "duplicates" in result.output
    assert json.loads(figures.read_text()) == json.loads((out / "prepare.json").read_text())
