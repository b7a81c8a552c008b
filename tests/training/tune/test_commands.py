"""The command line, and the files that come with it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from session_rec.cli import build_app
from session_rec.config import load_config
from session_rec.errors import ConfigError, UserError
from training.recipe_file import load_training
from training.tune import runner
from training.tune.config import TuneConfig
from training.tune.searches import read_searches

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments):
    return CliRunner().invoke(build_app(), ["tune", *map(str, arguments)])


def test_a_search_from_the_command_line(planted, tmp_path):
    out = tmp_path / "out"
    result = run(planted, "--out", out, "--models", "session-popularity", "--trials", 3)
    assert result.exit_code == 0, result.output
    assert "3 of 3" in result.output and str(out / "best.toml") in result.output
    best = tomllib.loads((out / "best.toml").read_text())
    assert list(best) == ["session-popularity"] and 0.2 <= best["session-popularity"]["decay"] <= 1
    again = run(planted, "--out", out, "--models", "session-popularity", "--trials", 3)
    assert again.exit_code == 0 and "3 of 3" not in again.output


def test_if_no_trial_was_done_the_sentence_of_the_last_one_is_said(planted, tmp_path, monkeypatch):
    def failing(*arguments, **named):
        raise UserError("the loss became nan")

    monkeypatch.setattr(runner, "score_settings", failing)
    arguments = (planted, "--out", tmp_path / "out", "--models", "popularity,session-popularity")
    result = run(*arguments, "--trials", 2)
    assert isinstance(result.exception, UserError)
    assert "no trial of popularity was done; the last one: the loss became nan" in str(
        result.exception
    )
    assert (tmp_path / "out" / "report.json").is_file()
    assert "none of 2 trials was done" in (tmp_path / "out" / "best.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trials", "0"], "'trials'"),
        (["--set", "metric=auc"], "'metric'"),
        (["--set", "sed=1"], "nearest known one is 'seed'"),
        (["--models", "knn"], "unknown model 'knn'"),
    ],
)
def test_a_wrong_option_is_said_in_one_sentence(arguments, words, planted, tmp_path):
    result = run(planted, "--out", tmp_path / "out", *arguments)
    assert isinstance(result.exception, ConfigError) and words in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_the_config_that_is_shipped_can_be_used():
    config = load_config(ROOT / "configs" / "tune.toml", TuneConfig)
    assert [s.name for s in read_searches(config, None, True, 1000)] == list(config.models)
    assert config.model_copy(update={"models": {}}) == TuneConfig()


def test_a_table_of_a_file_of_many_models_is_a_training_job(tmp_path):
    file = tmp_path / "best.toml"
    file.write_text("[vmis-knn]\nneighbours = 70\n\n[fast]\nkind = 'popularity'\n")
    kind, training = load_training("vmis-knn", file, ["model.neighbours=80", "out=m"])
    assert (kind, training.model, str(training.out)) == ("vmis-knn", {"neighbours": 80}, "m")
    assert load_training("fast", file)[0] == "popularity"
    with pytest.raises(ConfigError, match="unknown model kind 'slow': choose one of vmis-knn, fas"):
        load_training("slow", file)
    # Tables of a file that is no file of models are wrong as ever.
    file.write_text("[modle]\nneighbours = 70\n")
    with pytest.raises(ConfigError, match="unknown key 'modle'"):
        load_training("vmis-knn", file)
