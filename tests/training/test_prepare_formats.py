"""`session-rec prepare` reads the same events from every format and unit of time."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.prepare.config import PrepareConfig
from training.prepare.job import prepare

T0 = 1_700_000_000_000
MINUTE = 60_000
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


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    prints = []
    for name in ("a.csv", "b.csv"):
        comma_separated(tmp_path / name, SHOP_DAY)
        out = tmp_path / f"out-{name}"
        prepare(settings(tmp_path / name, split={"test_days": 0}), out)
        prints.append(json.loads((out / "prepare.json").read_text())["input"]["fingerprint"])
    assert prints[0] == prints[1]
