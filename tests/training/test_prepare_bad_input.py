"""What `session-rec prepare` refuses: one sentence, and nothing is written."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest

from session_rec.config import load_config
from session_rec.errors import ConfigError, DataError, UserError
from training.prepare.config import PrepareConfig
from training.prepare.job import prepare

T0 = 1_700_000_000_000


def write_lines(path: Path, header: str, lines: list[str]) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def settings(source: Path, **changes: Any) -> PrepareConfig:
    return PrepareConfig.model_validate({"input": str(source), **changes})


def small_log(directory: Path) -> Path:
    """One session with the items 007, 1, 2 and an event that was sent twice."""
    lines = [f"a,{item},{T0 + n}" for n, item in ((0, "007"), (1, "1"), (1, "1"), (2, "2"))]
    return write_lines(directory / "log.csv", "session_id,item_id,ts", lines)


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
    small_log(tmp_path)
    config = settings(tmp_path / "log.csv", split={"test_days": 0})
    prepare(config, tmp_path / "out")
    with pytest.raises(DataError, match="already there"):
        prepare(config, tmp_path / "out")
    prepare(config, tmp_path / "out", replace=True)


def test_ctrl_c_in_the_middle_of_a_query_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(con: Any, *_: Any) -> None:
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        con.execute("SELECT sum(a.range * b.range) FROM range(1000000000) a, range(1000000000) b")

    small_log(tmp_path)
    monkeypatch.setattr("training.prepare.job.ingest", endless)
    with pytest.raises(KeyboardInterrupt):
        prepare(settings(tmp_path / "log.csv"), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_too_little_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: Any) -> None:
        raise duckdb.OutOfMemoryException("could not allocate block")

    small_log(tmp_path)
    monkeypatch.setattr("training.prepare.job.cut_events", greedy)
    with pytest.raises(ConfigError, match=r"does not fit in engine\.memory_limit = '2GB'"):
        prepare(settings(tmp_path / "log.csv"), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


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
