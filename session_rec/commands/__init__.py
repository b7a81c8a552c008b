"""Commands of the engine, one file each."""

from __future__ import annotations

import typer

from session_rec.commands.compare import compare
from session_rec.commands.demo import demo
from session_rec.commands.evaluate import evaluate
from session_rec.commands.models import models
from session_rec.commands.recommend import recommend
from session_rec.commands.report import report


def register(app: typer.Typer) -> None:
    """Adds the commands of the engine to the command line."""
    app.command()(recommend)
    app.command()(evaluate)
    app.command()(compare)
    app.command()(report)
    app.command()(demo)
    app.add_typer(models, name="models")
