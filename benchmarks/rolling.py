# ruff: noqa: E402
"""Rolls models over windows of a recorded data set, as the Transformers4Rec paper evaluates.

    python benchmarks/rolling.py --data ../shared/data/rsc15_64.parquet --window day
    python benchmarks/rolling.py --data ../shared/data/diginetica.parquet --window 20000sessions

The file has the columns ``session_id, item_id, ts`` and optionally ``event_type``; a ``split`` is
not looked at. Whether ``ts`` is in seconds, in milliseconds or no clock at all is seen from its
values. Everything else is ``session-rec rolling``, with sessions as given.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

# One BLAS thread, set before numpy is imported: the same bits on every run, on one core.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import typer

from benchmarks import ledger
from benchmarks.data import read_whole
from benchmarks.scripts import run, say_no_clock
from session_rec.config import parse_config, read_toml
from session_rec.console import err, out, write_json
from training.rolling.config import RollingConfig, RollingModel, rolling_models
from training.rolling.job import roll_log
from training.rolling.windows import WindowLength

_HALF_LIFE = "recency_half_life_days"


def rolling(
    data: Annotated[Path, typer.Option(help="Parquet file of sessions.")],
    window: Annotated[
        str, typer.Option(help="day, hour, <N>h, or <N>sessions for data without a clock.")
    ] = "day",
    models: Annotated[str, typer.Option(help="Models or kinds to run, comma-separated.")] = "",
    positions: Annotated[
        Literal["last", "every"], typer.Option(help="Questions of a session.")
    ] = "last",
    burn_in: Annotated[int, typer.Option(min=1, help="Windows before the first scored one.")] = 1,
    max_windows: Annotated[int, typer.Option(min=0, help="Windows to score; 0: all.")] = 0,
    config: Annotated[
        Path | None, typer.Option(help="TOML of session-rec rolling: models and their settings.")
    ] = None,
    run_dir: Annotated[Path, typer.Option(help="What is done is kept here.")] = Path(
        "runs/rolling"
    ),
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write the figures here.")
    ] = None,
) -> None:
    """Train up to each window, score the next, go on from there, average."""
    # Now, not when all is done: others may commit while this program runs.
    commit = ledger.commit()
    length = WindowLength.parse(window)
    values = {
        "session_rules": {"name": "pairs"},
        **({} if config is None else read_toml(config)),
        "data": data,
        "window": window,
        "positions": positions,
        "burn_in": burn_in,
        "max_windows": max_windows,
        "run_dir": run_dir / data.stem,
    }
    settings = parse_config(values, RollingConfig, str(config or "the settings"))
    names = [m.strip() for m in models.split(",") if m.strip()]
    chosen = rolling_models(settings, names or None)
    log, has_clock = read_whole(data)
    if not has_clock:
        say_no_clock(data)
        chosen = [_without_half_life(m) for m in chosen]
    report = roll_log(log, settings, length, chosen, err)
    for table in report.tables():
        out.print(table)
    if json_out is not None:
        write_json(json_out, {**commit, **report.to_dict()})


def _without_half_life(model: RollingModel) -> RollingModel:
    if not getattr(model.settings, _HALF_LIFE, 0):
        return model
    err.print(f"{model.name}: {_HALF_LIFE} switched off: ts is no clock", markup=False)
    return replace(model, settings=model.settings.model_copy(update={_HALF_LIFE: 0.0}))


def main() -> None:
    """Runs the command; a user's mistake ends in one sentence and exit code 2."""
    run(rolling)


if __name__ == "__main__":
    main()
