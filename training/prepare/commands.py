"""The command ``session-rec prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds ``prepare`` to the command line."""
    app.command()(prepare)


def prepare(
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file, such as configs/prepare.toml.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--input", help="File, glob or directory; overrides the config.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Directory to write.")] = Path("runs/sessions"),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, overrides one setting; may repeat."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="OUT may be there already.")] = False,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write the counts here.")
    ] = None,
) -> None:
    """Turn clickstream files into sessions: train, validation and test."""
    from session_rec.config import load_config
    from session_rec.console import out as console
    from session_rec.console import write_json
    from training.prepare.config import PrepareConfig
    from training.prepare.job import prepare as run

    overrides = list(settings or ())
    if source is not None:
        # As a TOML string, so that a file called 42 stays one.
        quoted = source.replace("\\", "\\\\").replace('"', '\\"')
        overrides.append(f'input="{quoted}"')
    report = run(load_config(config, PrepareConfig, overrides), out, replace)
    console.print(report.table())
    console.print(f"written to {out}", markup=False, highlight=False)
    if json_out:
        write_json(json_out, report.to_dict())
