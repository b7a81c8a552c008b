"""The benchmark from file to table, on sessions whose figures a reader can work out."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import ledger, quality
from benchmarks.data import read_benchmark
from benchmarks.published import KnownData, known_data
from session_rec.errors import DataError
from session_rec.evaluation.compare import compare
from session_rec.evaluation.outcomes import Outcomes
from training.leakage.certify import LeakageError
from training.train import build_catalog

ROOT = Path(__file__).resolve().parents[2]
#: Measured data lies beside a checkout, where it is allowed to.
SHARED = ROOT.parent / "shared" / "data"

#: 1 is always followed by 2, 3 by 4; item 1 is the most clicked. 30 older sessions of one click
#: each make the catalog larger than a slate. The last 8 % are 4 of 54 sessions.
TRAIN = [("train", [i]) for i in range(100, 130)]
TRAIN += [("train", [1, 2]), ("train", [3, 4]), ("train", [1, 2]), ("train", [1, 2])] * 6
#: Four positions: 1 -> 2 and 3 -> 4 are known, 2 -> 3 never happened, 77 is not in the catalog.
TEST = [("test", [1, 2, 3]), ("test", [3, 4, 77])]


@pytest.fixture
def run(write_sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "LEDGER", tmp_path / "ledger.jsonl")
    data = write_sessions(TRAIN + TEST)

    def call(*arguments):
        import typer

        app = typer.Typer()
        app.command()(quality.quality)
        rows = tmp_path / "rows.json"
        result = CliRunner().invoke(
            app,
            [f"--data={data}", f"--run-dir={tmp_path / 'runs'}", f"--json={rows}", *arguments],
            catch_exceptions=False,
        )
        assert result.exit_code == 0, result.output
        return json.loads(rows.read_text()), result.output

    return call


def test_test_split_figures_and_ledger(run, tmp_path):
    (rules, popular), _ = run("--final", "--models", "sequential-rules,popularity")
    kept = {
        o.header.model: o for o in map(Outcomes.read, (tmp_path / "runs").rglob("outcomes.parquet"))
    }
    compared = compare(kept["popularity"], kept["sequential-rules"], resamples=50)
    (mrr,) = [d for d in compared.differences if d.metric == "mrr@20"]
    assert mrr.difference == pytest.approx((1 + 1 + 1 / 3 - 1 / 2 - 1 / 4 - 1 / 4) / 4)
    assert rules["model"] == "sequential-rules" and rules["split"] == "test"
    assert rules["positions"] == 4 and rules["sessions"] == 2
    # 2 -> 3: no rule, so popularity: 1 and 2 (18 clicks each), then 3: rank 3.
    assert rules["hr20"] == 75.0
    assert rules["mrr20"] == pytest.approx(100 * (1 + 1 + 1 / 3) / 4, abs=1e-3)
    # 18, 18, 6, 6 clicks: ties are pessimistic, 2 ranks second, 3 and 4 fourth.
    assert popular["mrr20"] == pytest.approx(100 * (1 / 2 + 1 / 4 + 1 / 4) / 4, abs=1e-3)
    entries = ledger.read()
    assert [e["model"] for e in entries] == ["sequential-rules", "popularity"]
    assert entries[0]["hr20"] == 75.0 and "commit" in entries[0]
    assert entries[0]["config_hash"] == rules["config_hash"]


def test_tables_say_how_often_the_test_split_was_read(run, tmp_path):
    run("--final", "--models", "sequential-rules")
    other = tmp_path / "other.toml"
    other.write_text("[sequential-rules]\nsteps = 2\n")
    run("--final", "--models", "sequential-rules", "--config", str(other))
    _, table = run("--models", "sequential-rules")
    assert "1 of 2" in table


def test_validation_is_the_default_and_leaves_no_trace(run):
    (row,), _ = run("--models", "sequential-rules")
    assert row["split"] == "validation" and row["positions"] == 4
    assert row["hr20"] == 100.0
    assert ledger.read() == []


def test_a_test_session_among_the_training_sessions_ends_the_benchmark(run, monkeypatch):
    """As a file would whose splits overlap: the same id with the same items."""
    read = quality.read_benchmark

    def overlapping(path):
        data = read(path)
        return replace(data, test=data.train.first_sessions(31))

    monkeypatch.setattr(quality, "read_benchmark", overlapping)
    with pytest.raises(LeakageError, match="31 test sessions in the training log"):
        run("--final", "--models", "popularity")
    assert ledger.read() == []


def test_min_prefix_scores_later_positions_only(run):
    (row,), _ = run("--final", "--models", "sequential-rules", "--min-prefix", "2")
    assert row["positions"] == 2 and row["min_prefix"] == 2
    assert row["hr20"] == 50.0


def test_a_known_data_set_with_another_number_of_positions_is_refused(run, monkeypatch):
    known = KnownData("a known one", 5, Path("configs/quality/rsc15_64.toml"), ())
    monkeypatch.setattr(quality, "known_data", lambda fingerprint: known)
    with pytest.raises(DataError, match="has 5 positions to score, but the rules give 4"):
        run("--final", "--models", "popularity")
    assert ledger.read() == []


def test_a_bad_file_ends_in_one_sentence_and_exit_code_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "benchmarks/quality.py", "--data", str(tmp_path / "none.parquet")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and "is not there" in done.stderr


@pytest.mark.parametrize("name,positions", [("diginetica", 60_858), ("rsc15_64", 5_596)])
def test_published_positions(name, positions):
    path = SHARED / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is not there: benchmark data is not part of the repository")
    data = read_benchmark(path)
    known = known_data(data.fingerprint)
    assert known is not None and known.positions == positions
    assert len(data.test.questions(build_catalog(data.test), quality.RULES)) == positions
