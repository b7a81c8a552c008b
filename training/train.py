"""The training job: prepared sessions in, a model directory out."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from pydantic import BaseModel, Field
from rich.console import Console

from session_rec.bundle import save_bundle
from session_rec.catalog import Catalog
from session_rec.config import Config, parse_config
from session_rec.errors import DataError
from session_rec.evaluation.evaluate import Evaluation, evaluate
from session_rec.event_log import SessionLog, read_sessions
from session_rec.ragged import Ragged
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules
from training.fitters import FitData, Fitted, check_installed, fit_model, model_config
from training.leakage.certify import FittedOn, certify

#: Libraries that decide the bits of a model, recorded beside it.
_LIBRARIES = ("numpy", "torch", "transformers4rec", "gensim", "onnxruntime")
#: Asking takes 15 ms each, and a job over many windows writes many models.
_version = cache(version)


class TrainConfig(Config):
    """Settings of a training job; ``[model]`` holds those of the model kind."""

    sessions: Path = Path("runs/sessions")
    """Directory that ``session-rec prepare`` wrote."""
    out: Path | None = None
    """Model directory to write; default: ``runs/models/KIND``."""
    replace: bool = False
    """Write over a model directory that is already there."""
    run_dir: Path | None = None
    """Checkpoints and logs; default: beside the model, ``OUT.run``. A killed job that is started
    again with the same settings goes on from there."""
    fresh: bool = False
    """Forget the checkpoints of an earlier run instead of going on from them."""
    model: dict[str, Any] = Field(default_factory=dict)
    """Settings of the model kind."""


def train(kind: str, config: TrainConfig, console: Console | None = None) -> Evaluation | None:
    """Fits a model of ``kind``, writes its directory, and returns its figures on validation.

    Raises:
        ConfigError: a setting is wrong.
        DataError: the sessions cannot be read, or the model directory is already there.
        LeakageError: the model leaks; nothing is written.
    """
    check_installed(kind)
    settings = parse_config(config.model, model_config(kind), f"the [model] table for {kind}")
    out = config.out or Path("runs/models") / kind
    if out.exists() and not config.replace:
        raise DataError(f"{out} is already there: choose another 'out' or set replace=true")
    rules = prepared_rules(config.sessions)
    log = read_sessions(config.sessions / "train.parquet")
    catalog = build_catalog(log, config.sessions / "catalog.parquet")
    validation = _read_held_out(config.sessions / "validation.parquet")
    run_dir = config.run_dir or out.with_name(out.name + ".run")
    if config.fresh:
        shutil.rmtree(run_dir, ignore_errors=True)
    data = FitData(
        log.training_sessions(catalog, rules),
        validation.training_sessions(catalog, rules) if validation else Ragged.from_lists([]),
        len(catalog),
        run_dir,
        console,
    )
    fitted = fit_model(kind, data, settings)
    test = _read_held_out(config.sessions / "test.parquet")
    return write_model(
        out,
        catalog,
        fitted,
        rules,
        settings,
        log.fingerprint,
        validation,
        replace=config.replace,
        fitted_on=FittedOn(data, log, validation, test),
        console=console,
    )


def write_model(
    out: Path,
    catalog: Catalog,
    fitted: Fitted,
    rules: SessionRules,
    settings: BaseModel,
    data_fingerprint: str,
    validation: SessionLog | None,
    *,
    replace: bool,
    fitted_on: FittedOn | None = None,
    console: Console | None = None,
) -> Evaluation | None:
    """Writes a model directory with its leakage certificate and its validation figures, which are
    scored from a saved copy.

    Args:
        fitted_on: what must hold no held-out session; None leaves that unchecked.

    Raises:
        LeakageError: the model leaks; nothing is written.
    """
    certificate = certify(catalog, fitted, rules, settings, fitted_on, console=console)
    result = None
    if validation is not None:
        with tempfile.TemporaryDirectory() as scratch:
            trial = Path(scratch) / "model"
            save_bundle(trial, catalog, fitted.predictor, rules, data_fingerprint=data_fingerprint)
            result = evaluate(
                Recommender.load(trial), validation, name=fitted.predictor.kind, split="validation"
            )
    save_bundle(
        out,
        catalog,
        fitted.predictor,
        rules,
        data_fingerprint=data_fingerprint,
        training={
            **_without_clock(fitted.record),
            "settings": settings.model_dump(mode="json"),
            "libraries": {name: _version(name) for name in _LIBRARIES},
        },
        metrics=[result.to_dict()] if result else [],
        leakage=certificate,
        replace=replace,
    )
    return result


def build_catalog(log: SessionLog, features: Path | None = None) -> Catalog:
    """The items of ``log`` with their number of events, and their features if the file is there."""
    counts = np.bincount(log.item, minlength=len(log.item_ids)).tolist()
    by_id = dict(zip(log.item_ids, counts, strict=True))
    if features is None or not features.is_file():
        return Catalog.from_counts(by_id)
    import duckdb

    relation = duckdb.connect().read_parquet(str(features))
    names = relation.columns
    columns: dict[str, dict[str, Any]] = {n: {} for n in names if n != "item_id"}
    place = names.index("item_id")
    for row in relation.fetchall():
        item = str(row[place])
        if item in by_id:
            for name, value in zip(names, row, strict=True):
                if name != "item_id":
                    columns[name][item] = value if isinstance(value, str | None) else float(value)
    return Catalog.from_counts(by_id, columns)


def prepared_rules(sessions: Path) -> SessionRules:
    """The session rules that ``prepare`` cut with.

    Raises:
        DataError: ``sessions`` is no directory of prepared sessions.
    """
    path = sessions / "prepare.json"
    if not path.is_file():
        raise DataError(f"{sessions} holds no prepared sessions: run session-rec prepare first")
    rules: dict[str, Any] = msgspec.json.decode(path.read_bytes())["session_rules"]
    return SessionRules.from_dict(rules)


def _read_held_out(path: Path) -> SessionLog | None:
    # A preparation without such a slice writes no file, or one without events.
    log = read_sessions(path, may_be_empty=True) if path.is_file() else None
    return log if log is not None and len(log) else None


def _without_clock(record: dict[str, Any]) -> dict[str, Any]:
    """The record without times of day or seconds: the same training gives the same manifest."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items() if "second" not in k}
        return [clean(v) for v in value] if isinstance(value, list) else value

    cleaned: dict[str, Any] = clean(record)
    return cleaned
