"""`session-rec prepare` streams: a log many times its memory passes through."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

ROWS = 1_000_000
# What Python, DuckDB's code, Arrow and one batch take, beside what the engine was allowed.
BESIDE_MB = 400
LIMIT_MB = 150

SCRIPT = """
import json, re, sys
from pathlib import Path
from training.prepare.config import PrepareConfig
from training.prepare.job import prepare

config = PrepareConfig.model_validate(json.loads(sys.argv[1]))
report = prepare(config, Path(sys.argv[2]))
# ru_maxrss would do, but it remembers the process that started this one.
status = Path("/proc/self/status").read_text()
peak = int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]) / 1024
print(json.dumps({"peak_mb": peak, "report": report.to_dict()}))
"""


@pytest.mark.soak
def test_memory_stays_bounded_by_the_setting(tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    # Five events a session, half a minute apart; sessions and rows are out of order.
    duckdb.sql(
        f"""COPY (SELECT 'a-session-with-a-long-name-' || ((i * 7919) % {ROWS // 5}) AS session_id,
            'an-item-with-a-name-' || hash(i) % 20000 AS item_id,
            1700000000000 + ((i * 7919) % {ROWS // 5}) * 1000 + (i // {ROWS // 5}) * 30000 AS ts,
            'a feature that takes some room ' || hash(i) AS feature
        FROM range({ROWS}) t(i)) TO '{log}' (FORMAT parquet)"""
    )
    config = {
        "input": str(log),
        "columns": {"features": {"feature": "feature"}},
        "min_item_support": 30,
        "engine": {"memory_limit": f"{LIMIT_MB}MB", "threads": 1},
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(config), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    report = result["report"]
    assert report["rows"] == ROWS
    assert report["sessions"] == ROWS // 5
    kept = sum(s["events"] for s in report["splits"].values())
    assert kept + sum(d["events"] for d in report["dropped"].values()) == ROWS
    assert result["peak_mb"] < LIMIT_MB + BESIDE_MB
