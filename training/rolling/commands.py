"""The command ``session-rec rolling``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def register(app: typer.Typer) -> None:
    """Adds ``rolling`` to the command line."""
    app.command()(rolling)


def rolling(
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file, such as configs/rolling.toml.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Parquet of sessions; overrides the config.")
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="day, hour, <N>h, or <N>sessions for data without a clock.")
    ] = None,
    models: Annotated[str, typer.Option(help="Models or kinds to run, comma-separated.")] = "",
    positions: Annotated[
        Literal["last", "every"] | None, typer.Option(help="Questions of a session.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, overrides one setting; may repeat."),
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write the figures here.")
    ] = None,
) -> None:
    """Train up to each window of time, score the next, go on from there, average.

    What is done is kept in the run directory: the same command goes on where it stopped.
    """
    from session_rec.config import load_config
    from session_rec.console import err, out, write_json
    from training.rolling.config import RollingConfig
    from training.rolling.job import roll

    overrides = list(settings or ())
    for key, value in (("data", data), ("window", window), ("positions", positions)):
        if value is not None:
            # As a TOML string, so that a file called 42 stays one.
            quoted = str(value).replace("\\", "\\\\").replace('"', '\\"')
            overrides.append(f'{key}="{quoted}"')
    names = [m.strip() for m in models.split(",") if m.strip()]
    report = roll(load_config(config, RollingConfig, overrides), names or None, err)
    for table in report.tables():
        out.print(table)
    if json_out:
        write_json(json_out, report.to_dict())
