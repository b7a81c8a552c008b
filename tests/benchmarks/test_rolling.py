"""The rolling benchmark on files as the public ones are: seconds, no clock, a split to ignore."""

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from benchmarks import rolling
from benchmarks.data import read_whole
from session_rec.certificate import Certificate
from session_rec.errors import DataError
from session_rec.sessions import SessionRules
from training import train
from training.rolling.windows import WindowLength, cut_windows

ROOT = Path(__file__).resolve().parents[2]
#: Measured data lies beside a checkout, where it is allowed to.
SHARED = ROOT.parent / "shared" / "data"
#: A session an hour: one day holds 24 of them. 1 is always followed by 2; from the second day on
#: sometimes by 3, which the first does not know.
SESSIONS = [("train", [1, 2])] * 24 + [("test", [1, 3])] * 6 + [("train", [1, 2])] * 18
SESSIONS += [("test", [1, 3])] * 12


@pytest.fixture
def roll(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "certify", lambda *_, **__: Certificate({}, seed=1))

    def call(data, *arguments):
        import typer

        app = typer.Typer()
        app.command()(rolling.rolling)
        out = tmp_path / "out.json"
        result = CliRunner().invoke(
            app,
            [f"--data={data}", f"--run-dir={tmp_path / 'runs'}", f"--json={out}", *arguments],
            catch_exceptions=False,
        )
        assert result.exit_code == 0, result.output
        return json.loads(out.read_text()), result.output

    return call


#: Midnight UTC, in seconds.
MIDNIGHT = 1_400_025_600


def test_seconds_are_seen_and_the_split_is_not_looked_at(roll, write_sessions):
    data = write_sessions(SESSIONS, first_ts=MIDNIGHT)
    report, output = roll(data, "--models", "sequential-rules", "--window", "day")
    (rules,) = report["models"]
    # 24 questions on the second day, 18 of them as on the first; 12 on the third: 1 -> 2 (42 times)
    # comes before 1 -> 3 (6 times).
    assert [w["questions"] for w in rules["windows"]] == [24, 12]
    first, second = (w["evaluation"]["metrics"] for w in rules["windows"])
    assert first["hr@20"] == 0.75 and second["hr@1"] == 0.0 and second["mrr@20"] == 0.5
    assert rules["pooled"]["metrics"]["hr@20"] == pytest.approx((18 + 12) / 36)
    assert report["protocol"]["rules"]["name"] == "pairs" and "commit" in report
    assert "Mean of 2 windows, percent" in output and "no clock" not in output


def test_windows_of_sessions_stand_in_where_there_is_no_clock(roll, write_sessions):
    data = write_sessions(SESSIONS, first_ts=0, hour=2)
    report, output = roll(data, "--window", "24sessions", "--models", "popularity")
    assert [w["questions"] for w in report["models"][0]["windows"]] == [24, 12]
    assert "ts is no clock; the order of the file" in " ".join(output.split())
    with pytest.raises(DataError, match=r"ts is no clock .* --window 5000sessions"):
        roll(data, "--window", "day", "--models", "popularity")


def test_half_lives_in_days_are_switched_off_without_a_clock(roll, write_sessions, tmp_path):
    config = tmp_path / "r.toml"
    config.write_text("[models.vmis-knn]\nrecency_half_life_days = 2.0\n")
    for first_ts, hour, kept in ((MIDNIGHT, 3600, 2.0), (0, 2, 0.0)):
        data = write_sessions(SESSIONS, first_ts, hour, name=str(first_ts))
        report, _ = roll(data, "--window", "30sessions", "--config", str(config))
        assert report["models"][0]["settings"]["recency_half_life_days"] == kept


def test_a_file_without_times_is_refused(roll, tmp_path):
    path = tmp_path / "two.parquet"
    duckdb.sql(f"COPY (SELECT 1 AS session_id, 2 AS item_id) TO '{path}' (FORMAT parquet)")
    with pytest.raises(DataError, match="has no column ts"):
        roll(path)


def test_the_public_file_with_a_clock_can_be_cut():
    path = SHARED / "rsc15_64.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is not there: benchmark data is not part of the repository")
    log, has_clock = read_whole(path)
    data = cut_windows(log, SessionRules("pairs"), WindowLength.parse("day"))
    assert has_clock and len(data.windows) == 8 and data.empty == 0
    assert data.windows[-1].end == len(log.session_ids) == 24_761 + 1_703
