"""The training job: prepared sessions in, a model directory out, the same bytes each time."""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from session_rec import Recommender, SessionRules
from session_rec.config import parse_config
from session_rec.errors import ConfigError, DataError
from session_rec.event_log import read_sessions
from session_rec.manifest import read_manifest
from training.recipe_file import load_training
from training.train import TrainConfig, build_catalog, train
from training.transformer.config import TransformerConfig
from training.transformer.teacher import TeacherConfig

ROOT = Path(__file__).resolve().parents[2]

SMALL = {
    "popularity": {},
    "session-popularity": {},
    "sequential-rules": {},
    "vmis-knn": {},
    "item2vec": {"epochs": 2, "vector_size": 8},
    "gru4rec": {"epochs": 1, "d_model": 16, "n_layers": 2, "hidden_size": 20, "threads": 1},
    "transformer": {"epochs": 1, "d_model": 16, "n_heads": 2, "threads": 1},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A directory as prepare writes it: walks on a circle of 30 items."""
    root = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(2)
    for name, sessions in (("train", 300), ("validation", 40), ("test", 40)):
        rows = []
        for s in range(sessions):
            item, ts = int(rng.integers(0, 30)), s * 100_000
            for _ in range(rng.integers(2, 7)):
                rows.append((f"{name}{s}", f"p{item:02}", ts))
                item, ts = (item + int(rng.integers(1, 3))) % 30, ts + 1000
        values = ", ".join(str(r) for r in rows)
        duckdb.sql(
            f"COPY (SELECT * FROM (VALUES {values}) t(session_id, item_id, ts)) "
            f"TO '{root / name}.parquet' (FORMAT parquet)"
        )
    duckdb.sql(
        "COPY (SELECT 'p' || lpad(i::VARCHAR, 2, '0') item_id, 'Product ' || i AS name, "
        f"i * 1.5 price FROM range(40) t(i)) TO '{root}/catalog.parquet' (FORMAT parquet)"
    )
    (root / "prepare.json").write_text(json.dumps({"session_rules": SessionRules().to_dict()}))
    return root


@pytest.mark.parametrize("kind", list(SMALL))
def test_every_kind_trains_loads_and_beats_chance(kind, prepared, tmp_path):
    out = tmp_path / kind
    result = train(kind, TrainConfig(sessions=prepared, out=out, model=SMALL[kind]))
    recommender = Recommender.load(out)
    manifest = read_manifest(out)
    assert manifest.kind == kind
    assert manifest.data_fingerprint == read_sessions(prepared / "train.parquet").fingerprint
    assert recommender.rules == SessionRules()
    assert recommender.catalog.name(recommender.catalog.row("p07")) == "Product 7"
    figures = manifest.metrics[0]
    assert figures["metrics"]["hr@5"] == result.metrics["hr@5"]
    assert figures["protocol"]["split"] == "validation"
    if kind in ("sequential-rules", "vmis-knn", "item2vec"):
        # The next item is one of two: chance over 30 items would be 5/30.
        assert result.metrics["hr@5"] > 0.5
    again = tmp_path / "again"
    train(kind, TrainConfig(sessions=prepared, out=again, model=SMALL[kind]))
    assert (again / "manifest.json").read_bytes() == (out / "manifest.json").read_bytes()


def test_a_model_with_a_teacher_is_certified_and_is_the_same_each_time(prepared, tmp_path):
    teacher = {"kind": "vmis-knn", "settings": {"neighbours": 9}, "folds": 2}
    model = {**SMALL["transformer"], "teacher": teacher}
    for name in ("one", "two"):
        train("transformer", TrainConfig(sessions=prepared, out=tmp_path / name, model=model))
    manifest = read_manifest(tmp_path / "one")
    assert manifest.training["settings"]["teacher"] == {**teacher, "best": 30, "share": 0.5}
    assert manifest.leakage.checks["random data"].status == "passed"
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_the_committed_distillation_says_the_defaults():
    kind, job = load_training("transformer", ROOT / "configs/distilled.toml")
    assert kind == "transformer"
    assert parse_config(job.model, TransformerConfig, "it").teacher == TeacherConfig()


def test_the_catalog_counts_training_events_only(prepared):
    log = read_sessions(prepared / "train.parquet")
    catalog = build_catalog(log, prepared / "catalog.parquet")
    assert catalog.count.sum() == len(log)
    assert len(catalog) == 30  # the ten products that nobody clicked are left out
    assert catalog.features["price"][catalog.row("p04")] == 6.0


@pytest.mark.parametrize(
    ("values", "kind", "error", "words"),
    [
        ({"model": {"window_size": 3}}, "item2vec", ConfigError, "nearest known one is 'window"),
        ({"model": {"epochs": 0}}, "transformer", ConfigError, "epochs"),
        ({}, "oracle", ConfigError, "unknown model kind 'oracle'"),
        ({"sessions": "/nowhere"}, "popularity", DataError, "run session-rec prepare first"),
    ],
)
def test_bad_settings_write_nothing(values, kind, error, words, prepared, tmp_path):
    config = parse_config(
        {"sessions": str(prepared), "out": str(tmp_path / "m"), **values}, TrainConfig, "test"
    )
    with pytest.raises(error, match=words):
        train(kind, config)
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_there_is_kept(prepared, tmp_path):
    config = TrainConfig(sessions=prepared, out=tmp_path / "m")
    train("popularity", config)
    with pytest.raises(DataError, match="replace=true"):
        train("popularity", config)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "session_rec.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_the_command_line_trains_recommends_and_evaluates(prepared, tmp_path):
    out, figures = tmp_path / "m", tmp_path / "figures.json"
    done = run("train", "sequential-rules", "--set", f'sessions="{prepared}"',
               "--set", f'out="{out}"', "--json", figures)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(figures.read_text())["metrics"]["hr@5"] > 0.5
    slate = tmp_path / "slate.json"
    done = run("recommend", "--model", out, "p07", "nobody", "-k", "3", "--json", slate)
    assert done.returncode == 0, done.stderr
    assert "Product 8" in done.stdout and "unknown item" in done.stdout
    assert {i["item_id"] for i in json.loads(slate.read_text())["slate"]} >= {"p08", "p09"}
    done = run("evaluate", "--model", out, "--sessions", prepared / "test.parquet")
    assert done.returncode == 0, done.stderr
    assert "pessimistic" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("recommend", "--model", "/nowhere", "a"), "/nowhere is not there"),
        (("evaluate", "--model", "/nowhere", "--sessions", "x"), "/nowhere is not there"),
        (("train", "item2vec", "--config", "/no.toml"), "/no.toml is not there"),
        (("train", "item2vec", "--set", "epoch=3"), "[model] table is written 'model.epoch'"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(arguments, words, tmp_path):
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
