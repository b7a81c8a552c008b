"""The command ``session-rec tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds ``tune`` to the command line."""
    app.command()(tune)


def tune(
    data: Annotated[
        Path,
        typer.Argument(help="Directory of prepared sessions, or a Parquet file of sessions."),
    ],
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file, such as configs/tune.toml.")
    ] = None,
    directory: Annotated[
        Path, typer.Option("--out", help="Keeps the search; gets report.json and best.toml.")
    ] = Path("runs/tune"),
    models: Annotated[str, typer.Option(help="Models or kinds to tune, comma-separated.")] = "",
    trials: Annotated[
        int | None, typer.Option(help="Trials of each model; overrides the config.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Minutes of each model; overrides the config.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, overrides one setting; may repeat."),
    ] = None,
) -> None:
    """Search the settings of models, each with the same budget, on the newest training sessions.

    What is done is kept: the same command goes on where it stopped. Test sessions are not read.
    """
    from session_rec.config import load_config
    from session_rec.console import err, out
    from session_rec.errors import UserError
    from training.tune.config import TuneConfig
    from training.tune.job import tune as run

    overrides = list(settings or ())
    for key, value in (("trials", trials), ("minutes", minutes)):
        if value is not None:
            overrides.append(f"{key}={value}")
    names = [m.strip() for m in models.split(",") if m.strip()]
    report = run(data, directory, load_config(config, TuneConfig, overrides), names or None, err)
    out.print(report.table())
    for line in report.lines():
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    out.print(
        f"best settings: {directory / 'best.toml'}, all trials: {directory / 'report.json'}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for model in report.models:
        if model.best is None:
            raise UserError(
                f"no trial of {model.search.name} was done; the last one: {model.trials[-1].reason}"
            )
