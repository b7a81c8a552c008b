"""Commands of the offline jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from session_rec.certificate import Certificate
from session_rec.console import err, out, write_json
from session_rec.evaluation.table import evaluation_line
from session_rec.manifest import read_manifest


def register(app: typer.Typer) -> None:
    """Adds the offline jobs to the command line."""
    from training.prepare.commands import register as register_prepare
    from training.rolling.commands import register as register_rolling
    from training.shop.ceiling_command import register as register_ceiling
    from training.shop.commands import register as register_shop
    from training.tune.commands import register as register_tune

    register_shop(app)
    register_prepare(app)
    register_ceiling(app)
    register_rolling(app)
    register_tune(app)
    app.command()(train)


def train(
    kind: Annotated[
        str,
        typer.Argument(
            help="Model kind: two-stage, transformer, vmis-knn …; or a table of the config's."
        ),
    ] = "two-stage",
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of the job.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, such as model.epochs=3, over the file; may repeat."),
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write figures here.")
    ] = None,
) -> None:
    """Train a model of KIND on prepared sessions and write its directory."""
    from training.recipe_file import load_training
    from training.train import train as run

    kind, job = load_training(kind, config, settings or ())
    result = run(kind, job, err)
    target = job.out or Path("runs/models") / kind
    if result is not None:
        out.print(evaluation_line(result), highlight=False)
        if json_out:
            write_json(json_out, result.to_dict())
    leakage = read_manifest(target).leakage
    if isinstance(leakage, Certificate):
        out.print(leakage.line(), highlight=False, markup=False, soft_wrap=True)
    out.print(f"model written to {target}", markup=False)
