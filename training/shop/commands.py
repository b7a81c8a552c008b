"""The command ``session-rec generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.shop.config import ShopConfig, make_config

_DEFAULT = ShopConfig()


def register(app: typer.Typer) -> None:
    """Adds the shop's commands to the command line."""
    app.command("generate")(generate)


def generate(
    out: Annotated[Path, typer.Option(help="Directory to write; must not be there yet.")],
    seed: Annotated[int, typer.Option(help="Equal seeds and sizes give equal bytes.")] = 7,
    sessions: Annotated[int, typer.Option(help="Session ids in the log.")] = _DEFAULT.sessions,
    items: Annotated[int, typer.Option(help="Items in the catalog.")] = _DEFAULT.items,
    days: Annotated[int, typer.Option(help="Days that the log covers.")] = _DEFAULT.days,
    start: Annotated[str, typer.Option(help="First day (UTC).")] = _DEFAULT.start,
    bot_share: Annotated[
        float, typer.Option(help="Share of session ids that are bots.")
    ] = _DEFAULT.bot_share,
    replace: Annotated[bool, typer.Option(help="Replace the directory if it is there.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the counts as JSON too.")
    ] = None,
) -> None:
    """Generate a believable shop: a clickstream, a catalog, and what it was made from."""
    config = make_config(
        seed=seed, sessions=sessions, items=items, days=days, start=start, bot_share=bot_share
    )
    # Parquet needs the training install; `session-rec --help` must not.
    import msgspec
    from rich.console import Console

    from session_rec.files import write_file
    from training.shop.clickstream import sample_clickstream
    from training.shop.files import refuse_existing, write_shop
    from training.shop.world import build_world

    refuse_existing(out, replace)
    world = build_world(config)
    counts = write_shop(out, world, sample_clickstream(world), replace=replace)
    if json_file is not None:
        write_file(json_file, msgspec.json.encode(counts))
    console = Console()
    console.print(
        f"Wrote {out}: {counts['rows']:,} rows of {counts['sessions']:,} sessions "
        f"({counts['visits']:,} visits) over {days} days, {counts['items']:,} items in "
        f"{counts['categories']} categories, seed {seed}.",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    console.print(
        f"As in any log: {counts['bot_sessions']} bots, {counts['late_rows']:,} late rows, "
        f"{counts['duplicate_rows']:,} rows sent twice.",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
