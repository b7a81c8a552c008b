"""docs/adding-a-model.md shows what the files hold, and its recipe works for another model."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from session_rec import Catalog, Ragged, Recommender, SessionRules, predictors
from session_rec.bundle import save_bundle
from session_rec.cli import build_app
from session_rec.config import load_config
from session_rec.manifest import read_manifest
from training import fitters
from training.fitters import FitData, fit_model, model_config

ROOT = Path(__file__).resolve().parents[1]
DOC = (ROOT / "docs/adding-a-model.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
#: How much of which file, and the text.
QUOTES = re.findall(r"<!-- (from|the whole of) (\S+) -->\n```\w+\n(.*?)```", DOC, re.S)


def test_nothing_is_quoted_without_its_file():
    code = re.findall(r"```(?:python|toml)\n", DOC)
    assert len(code) == len(QUOTES) >= 7


@pytest.mark.parametrize(("how", "file", "text"), QUOTES)
def test_a_quote_is_what_the_file_holds(how: str, file: str, text: str):
    held = (ROOT / file).read_text("utf-8")
    if how == "the whole of":
        assert text == held
    else:
        # Whole lines, so that no half of one passes.
        assert f"\n{text}" in held


def test_links_lead_to_files():
    links = re.findall(r"\]\((\S+?)\)", DOC)
    assert links and all((ROOT / "docs" / link).is_file() for link in links)


def quoted(file: str, how: str = "from") -> str:
    """The one quote of ``file``."""
    (text,) = [t for h, f, t in QUOTES if (h, f) == (how, file)]
    return text


def test_the_recipe_makes_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The file and the lines of the page, with other names, are a model that trains and serves."""

    def renamed(text: str) -> str:
        return text.replace("popularity", "commonness").replace("Popularity", "Commonness")

    source = renamed(quoted("session_rec/predictors/popularity.py", "the whole of"))
    (tmp_path / "commonness.py").write_text(source)
    name = "session_rec.predictors.commonness"
    monkeypatch.setitem(sys.modules, name, None)  # so that it is gone again after the test
    del sys.modules[name]
    monkeypatch.setattr(predictors, "__path__", [*predictors.__path__, str(tmp_path)])
    served = eval("{" + renamed(quoted("session_rec/predictors/__init__.py")) + "}")
    monkeypatch.setattr(predictors, "_KINDS", {**predictors._KINDS, **served})
    cls = predictors.predictor_class("commonness")
    assert cls.kind == "commonness"
    names = {**vars(fitters), **vars(sys.modules[name])}
    trained = eval("{" + renamed(quoted("training/fitters.py")) + "}", names)
    monkeypatch.setattr(fitters, "_FITTERS", {**fitters._FITTERS, **trained})

    sessions = Ragged.from_lists([[2, 1], [2]])
    data = FitData(sessions, Ragged.from_lists([]), 3, tmp_path / "run")
    predictor = fit_model("commonness", data, model_config("commonness")()).predictor
    catalog = Catalog(("a", "b", "c"), np.array([0, 1, 2]))
    save_bundle(tmp_path / "m", catalog, predictor, SessionRules(), data_fingerprint="0")
    assert read_manifest(tmp_path / "m").kind == "commonness"
    assert Recommender.load(tmp_path / "m").recommend(["a"], 2) == [("c", 2.0), ("b", 1.0)]


def test_the_commands_exist_and_the_settings_are_known():
    lines = re.findall(r"^\.venv/bin/session-rec (.+)$", DOC, re.M)
    assert len(lines) == 2
    commands = typer.main.get_command(build_app()).commands
    for line in lines:
        name, *words = shlex.split(line)
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known
    (config,) = set(re.findall(r"--config (\S+)", DOC))
    from training.train import TrainConfig

    job = load_config(ROOT / config, TrainConfig)
    assert job.out is not None and f"--model {job.out}" in DOC
    model_config("popularity")(**job.model)


def test_the_readme_names_every_kind():
    (sentence,) = re.findall(r"Model kinds:\s(.+?)\.\s", README, re.S)
    assert re.findall(r"`([\w-]+)`", sentence) == list(predictors.predictor_kinds())
