"""How a benchmark starts and fails: a user's mistake ends in one sentence and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import typer

from session_rec.console import err
from session_rec.errors import UserError


def run(command: Callable[..., None]) -> None:
    """Runs ``command`` with the arguments of the command line."""
    try:
        typer.run(command)
    except UserError as e:
        name = command.__name__
        err.print(f"{name}: {e}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


def say_no_clock(data: Path) -> None:
    """Tells what becomes of time on data whose ``ts`` is none."""
    err.print(
        f"{data}: ts is no clock; the order of the file is taken as the order of time, and "
        "nothing decays by days",
        markup=False,
    )
