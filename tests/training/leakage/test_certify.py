"""No certificate, no directory."""

from __future__ import annotations

import json

import duckdb
import numpy as np
import pytest
from typer.testing import CliRunner

from session_rec.certificate import CHECKS, Certificate, Check
from session_rec.cli import build_app
from session_rec.errors import UserError
from session_rec.manifest import read_manifest
from session_rec.ragged import Ragged
from session_rec.retrieval import NonFiniteScoreError
from session_rec.sessions import SessionRules
from training.fitters import FitData, Fitted, fit_model, model_config
from training.leakage.certify import LeakageError
from training.train import TrainConfig, train, write_model

from .conftest import serving

SETTINGS = {"d_model": 16, "n_heads": 2, "n_layers": 1, "epochs": 1, "threads": 1}


@pytest.fixture
def prepared(tmp_path):
    """A directory as prepare writes it; test sessions begin where training ended."""
    root = tmp_path / "prepared"
    root.mkdir()
    rng = np.random.default_rng(2)
    rows = {}
    for number, name in enumerate(("train", "validation", "test")):
        rows[name] = [
            (f"{name}{s}", f"p{rng.integers(0, 30):02}", number * 10**9 + s * 100_000 + 1000 * e)
            for s in range(60)
            for e in range(3)
        ]
    (root / "prepare.json").write_text(json.dumps({"session_rules": SessionRules().to_dict()}))

    def write(**more):
        for name, values in rows.items():
            text = ", ".join(str(r) for r in values + more.get(name, []))
            duckdb.sql(
                f"COPY (SELECT * FROM (VALUES {text}) t(session_id, item_id, ts)) "
                f"TO '{root / name}.parquet' (FORMAT parquet)"
            )
        return rows

    write()
    return root, write


def test_a_directory_carries_its_certificate(prepared, tmp_path):
    root, _ = prepared
    out = tmp_path / "m"
    train("popularity", TrainConfig(sessions=root, out=out))
    leakage = read_manifest(out).leakage
    assert isinstance(leakage, Certificate)
    assert tuple(sorted(leakage.checks)) == tuple(sorted(CHECKS))
    assert {check.status for check in leakage.checks.values()} == {"passed"}
    assert leakage.checks["held out"].numbers["test sessions compared"] == 60


def test_no_test_split_is_never_told_as_passed(prepared, tmp_path):
    root, _ = prepared
    (root / "test.parquet").unlink()
    train("popularity", TrainConfig(sessions=root, out=tmp_path / "m"))
    leakage = read_manifest(tmp_path / "m").leakage
    assert leakage.checks["held out"].status == "not checked"
    assert "no test split" in leakage.line()


def test_a_training_file_with_test_sessions_ends_in_one_sentence_and_nothing_is_written(
    prepared, tmp_path
):
    root, write = prepared
    rows = write()
    write(train=rows["test"][:6])
    arguments = ["train", "popularity", "--set", f'sessions="{root}"']
    result = CliRunner().invoke(build_app(), [*arguments, "--set", f'out="{tmp_path / "m"}"'])
    assert isinstance(result.exception, LeakageError) and isinstance(result.exception, UserError)
    sentence = str(result.exception)
    assert "held out: there are 2 test sessions in the training log" in sentence
    assert "\n" not in sentence
    assert not list(tmp_path.glob("m*")) and not list(tmp_path.glob(".m*"))


def test_the_command_tells_the_certificate_in_one_line(prepared, tmp_path):
    root, _ = prepared
    arguments = ["train", "popularity", "--set", f'sessions="{root}"']
    result = CliRunner().invoke(build_app(), [*arguments, "--set", f'out="{tmp_path / "m"}"'])
    assert result.exit_code == 0
    (line,) = [x for x in result.output.splitlines() if x.startswith("leakage certificate")]
    assert line.startswith("leakage certificate: passed (")
    assert "chance 10.0 %" in line and "none of 60 test sessions was fitted" in line


def walks(n_items):
    return Ragged.from_lists([[(i + k) % n_items for k in range(4)] for i in range(64)])


def transformer(place, seed):
    config = model_config("transformer").model_validate({**SETTINGS, "seed": seed})
    return config, fit_model(
        "transformer", FitData(walks(30), Ragged.from_lists([]), 30, place / str(seed)), config
    )


def test_an_encoder_of_another_training_is_refused(tmp_path, monkeypatch):
    from training.leakage import certify as certify_module

    # What (d) costs is paid elsewhere.
    monkeypatch.setattr(
        certify_module, "check_random_data", lambda *a: Check("not applicable", "not in this test")
    )
    config, fitted = transformer(tmp_path, 1)
    _, other = transformer(tmp_path, 2)
    catalog = serving(fitted.predictor).catalog
    mixed = Fitted(other.predictor, fitted.record, forward=fitted.forward)
    out = tmp_path / "out" / "m"
    with pytest.raises(LeakageError, match="bundle: the saved model's scores differ") as error:
        write_model(out, catalog, mixed, SessionRules(), config, "f" * 64, None, replace=False)
    assert error.value.certificate.failed == ("bundle",)
    assert not out.parent.exists()
    write_model(out, catalog, fitted, SessionRules(), config, "f" * 64, None, replace=False)
    leakage = read_manifest(out).leakage
    assert 0 <= leakage.checks["bundle"].numbers["training forward"] < 1e-5
    assert leakage.checks["held out"].status == "not checked"


def test_a_score_that_is_no_number_gets_no_directory_either(tmp_path):
    from session_rec.predictors.popularity import Popularity

    broken = Fitted(Popularity(np.array([1, np.nan, 2] * 10, np.float32)))
    catalog = serving(Popularity(np.ones(30, np.float32))).catalog
    settings = model_config("popularity")()
    with pytest.raises(NonFiniteScoreError):
        write_model(
            tmp_path / "m", catalog, broken, SessionRules(), settings, "f", None, replace=False
        )
    assert not list(tmp_path.iterdir())
