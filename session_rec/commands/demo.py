"""``session-rec demo``: all of it in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out_dir: Annotated[Path, typer.Option("--out", help="Directory for all it makes.")] = Path(
        "runs/demo"
    ),
    configs: Annotated[Path, typer.Option(help="Settings of its jobs.")] = Path("configs"),
    seed: Annotated[int, typer.Option(help="Of the shop and its clicks.")] = 7,
    sessions: Annotated[int, typer.Option(min=2000, help="Session ids of the shop.")] = 60_000,
    live_sessions: Annotated[int, typer.Option(min=1, help="Played through the broker.")] = 2_000,
    rate: Annotated[float, typer.Option(min=1, help="Events per second of that play.")] = 300,
    show: Annotated[int, typer.Option(min=0, help="Sessions shown click by click.")] = 3,
) -> None:
    """Generate a shop, train every model on it, evaluate, and serve one live: all in one go."""
    from session_rec.demo import Demo

    Demo(out_dir, configs, seed, sessions, live_sessions, rate, show).run()
