"""The costs of models, on a file and model directories that are made here."""

import json
from pathlib import Path

import typer
from typer.testing import CliRunner

from benchmarks import cost
from session_rec.bundle import save_bundle
from session_rec.predictors.popularity import Popularity
from session_rec.predictors.session_popularity import SessionPopularity
from session_rec.ragged import Ragged
from session_rec.sessions import SessionRules
from session_rec.toy import toy_recommender


def test_each_model_is_timed_and_weighed_beside_the_first(tmp_path: Path, write_sessions) -> None:
    data = write_sessions([("train", [1, 2]), ("test", [1, 2, 1]), ("test", [2, 1])])
    clicks = Ragged.from_lists([[0, 1]])
    for model in (Popularity.fit(clicks, 2), SessionPopularity.fit(clicks, 2)):
        catalog = toy_recommender("1 2").catalog
        save_bundle(
            tmp_path / model.kind, catalog, model, SessionRules("pairs"), data_fingerprint="x"
        )
    app = typer.Typer()
    app.command()(cost.cost)
    result = CliRunner().invoke(
        app,
        [
            str(tmp_path / "popularity"),
            str(tmp_path / "session-popularity"),
            f"--data={data}",
            "--turns=2",
            "--calls=8",
            f"--json={tmp_path / 'rows.json'}",
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["kind"] for row in rows] == ["popularity", "session-popularity"]
    assert rows[0]["ratio"] == 1
    for row in rows:
        size = sum(f.stat().st_size for f in Path(row["model"]).iterdir())
        assert row["directory_mib"] == size / 2**20
        assert 0 < row["single_p50"] <= row["single_p99"]
        assert row["batch_p50"] > 0 and row["memory_mib"] > 0
