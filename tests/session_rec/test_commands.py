"""The command line of the engine."""

from pathlib import Path

from typer.testing import CliRunner

from session_rec import Catalog, Ragged, SessionRules
from session_rec.bundle import save_bundle
from session_rec.cli import build_app
from session_rec.predictors.popularity import Popularity


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    names = {"a": "Sofa [/b]", "b": "Cable [3m]"}
    catalog = Catalog.from_counts({"a": 2, "b": 1}, {"name": names})
    model = Popularity.fit(Ragged.from_lists([[0, 0, 1]]), 2)
    save_bundle(tmp_path / "m", catalog, model, SessionRules(), data_fingerprint="x")
    shown = CliRunner().invoke(build_app(), ["recommend", "--model", str(tmp_path / "m"), "a"])
    assert shown.exit_code == 0, shown.exception
    _, _, slate = shown.output.partition("next")
    assert names["a"] in slate and names["b"] in slate
