# ruff: noqa: E402
"""Tunes the models of the demo, each with the same number of trials, on the validation slice.

    python benchmarks/tune_demo.py --write-configs

It reads the shop that the demo generated and prepared (``runs/demo/sessions``), never its test
split. Trials train on the newest half of the training sessions, which leaves time for eight of
them; the chosen settings are then trained on all. A finished trial is kept and not run again, and
a transformer that was stopped in the middle goes on from its checkpoint.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Any

# One thread, set before numpy is imported: CPU seconds compare, and runs repeat to the bit.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import msgspec
import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.demo_search import (
    GRID,
    START,
    Settings,
    Trial,
    best,
    budget,
    changed,
    demo_toml,
    markdown,
    propose,
)
from benchmarks.scripts import run
from session_rec.bundle import save_bundle
from session_rec.config import parse_config
from session_rec.console import err, out, progress_bar, write_json
from session_rec.errors import ConfigError, DataError
from session_rec.evaluation.evaluate import evaluate
from session_rec.event_log import read_sessions
from session_rec.files import write_file
from session_rec.recommender import Recommender
from training.fitters import FitData, fit_model, model_config
from training.train import build_catalog, prepared_rules

#: Decides speed alone, and is no part of what is searched.
FIXED: dict[str, Settings] = {"transformer": {"threads": 1}}


class Job:
    """The prepared train and validation splits, and the directory that keeps the trials."""

    def __init__(self, sessions: Path, directory: Path) -> None:
        self.rules = prepared_rules(sessions)
        log = read_sessions(sessions / "train.parquet")
        self.validation = read_sessions(sessions / "validation.parquet")
        self.catalog = build_catalog(log)
        self.train = log.training_sessions(self.catalog, self.rules)
        self.valid = self.validation.training_sessions(self.catalog, self.rules)
        self.fingerprint = log.fingerprint
        self.directory = directory

    def trial(self, kind: str, number: int, settings: Settings, share: float) -> Trial:
        """Runs a trial, or reads it where it was finished before."""
        parsed = parse_config({**settings, **FIXED.get(kind, {})}, model_config(kind), kind)
        identity = {
            "kind": kind,
            "settings": parsed.model_dump(mode="json"),
            "share": share,
            "train": self.fingerprint,
            "validation": self.validation.fingerprint,
        }
        digest = hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:12]
        place = self.directory / f"{kind}-{digest}"
        kept = place.with_suffix(".json")
        if kept.is_file():
            figures: dict[str, Any] = msgspec.json.decode(kept.read_bytes())["figures"]
        else:
            figures = self._run(kind, parsed, share, place, f"{kind}, trial {number or 'all'}")
            write_json(kept, {**identity, "figures": figures})
            shutil.rmtree(place, ignore_errors=True)
        return Trial(kind, number, settings, share, **figures)

    def _run(
        self, kind: str, settings: Any, share: float, place: Path, title: str
    ) -> dict[str, float]:
        kept = max(1, round(share * len(self.train)))
        train = self.train.take(np.arange(len(self.train) - kept, len(self.train)))
        begin = time.process_time()
        fitted = fit_model(
            kind, FitData(train, self.valid, len(self.catalog), place / "run", err), settings
        )
        seconds = time.process_time() - begin
        save_bundle(
            place / "model",
            self.catalog,
            fitted.predictor,
            self.rules,
            data_fingerprint=self.fingerprint,
            replace=True,
        )
        recommender = Recommender.load(place / "model")
        total = len(self.validation.questions(self.catalog, self.rules))
        with progress_bar(f"{title}, scoring", total) as advance:
            result = evaluate(
                recommender, self.validation, name=kind, split="validation", progress=advance
            )
        return {
            "hr20": result.metrics["hr@20"],
            "mrr20": result.metrics["mrr@20"],
            "train_cpu_seconds": round(seconds, 2),
        }


def tune_demo(
    sessions: Annotated[Path, typer.Option(help="What the demo prepared.")] = Path(
        "runs/demo/sessions"
    ),
    directory: Annotated[Path, typer.Option("--out", help="Keeps the trials.")] = Path(
        "runs/tune-demo"
    ),
    models: Annotated[str, typer.Option(help="Kinds to tune, comma-separated; all.")] = "",
    share: Annotated[
        float, typer.Option(min=0.01, max=1, help="Newest share of sessions that trials train on.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Of the settings that are drawn.")] = 1,
    write_configs: Annotated[
        bool, typer.Option("--write-configs", help="Write configs/demo/KIND.toml.")
    ] = False,
) -> None:
    """Try as many settings of every model of the demo, and choose by validation."""
    kinds = [m.strip() for m in models.split(",") if m.strip()] or list(GRID)
    for kind in kinds:
        if kind not in GRID:
            raise ConfigError(f"unknown model {kind!r}: choose of {', '.join(GRID)}")
    if not (sessions / "validation.parquet").is_file():
        raise DataError(f"{sessions} holds no prepared sessions: run session-rec demo first")
    job = Job(sessions, directory)
    trials: list[Trial] = []
    chosen: list[Trial] = []
    for kind in kinds:
        done: list[Trial] = []
        while len(done) < budget(kind):
            done.append(job.trial(kind, len(done) + 1, propose(kind, done, seed), share))
            t = done[-1]
            err.print(
                f"{kind} {t.number} of {budget(kind)}: HR@20 {100 * t.hr20:.2f}, MRR@20 "
                f"{100 * t.mrr20:.2f}, {t.train_cpu_seconds:.1f} CPU s "
                f"({changed(t.settings, START[kind])})",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        winner = best(done)
        trials += done
        chosen.append(job.trial(kind, 0, winner.settings, 1.0))
        if write_configs:
            text = demo_toml(kind, winner.settings, winner)
            write_file(ROOT / "configs" / "demo" / f"{kind}.toml", text.encode())
        write_json(
            directory / "tuning.json",
            {
                "split": "validation",
                "choose": "hr@20 + mrr@20",
                "seed": seed,
                "data": {"train": job.fingerprint, "validation": job.validation.fingerprint},
                "trials": [t.to_dict() for t in trials],
                "chosen": [t.to_dict() for t in chosen],
            },
        )
    write_file(directory / "tuning.md", markdown(trials, chosen).encode())
    out.print(_table(trials, chosen))
    out.print(f"All trials: {directory / 'tuning.md'}, {directory / 'tuning.json'}")


def _table(trials: list[Trial], chosen: list[Trial]) -> Table:
    table = Table(box=SIMPLE_HEAD, title="validation slice")
    table.add_column("model", no_wrap=True)
    for name in ("trials", "HR@20 first", "best", "all sessions: HR@20", "MRR@20", "CPU s"):
        table.add_column(name, justify="right")
    for winner in chosen:
        own = [t for t in trials if t.kind == winner.kind]
        table.add_row(
            winner.kind,
            str(len(own)),
            f"{100 * own[0].hr20:.2f}",
            f"{100 * best(own).hr20:.2f}",
            f"{100 * winner.hr20:.2f}",
            f"{100 * winner.mrr20:.2f}",
            f"{winner.train_cpu_seconds:.0f}",
        )
    return table


def main() -> None:
    """Runs the command; a user's mistake ends in one sentence and exit code 2."""
    run(tune_demo)


if __name__ == "__main__":
    main()
