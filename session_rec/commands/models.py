"""``session-rec models``: what a model store holds, and which of its models serves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from session_rec.commands.options import JsonOut
from session_rec.console import err, out, write_json

models = typer.Typer(
    help="Models in a directory, one of which serves: list, promote, roll back.",
    no_args_is_help=True,
)

_Store = Annotated[Path, typer.Argument(help="Directory that holds model directories.")]


@models.command("list")
def list_(store: _Store, json_out: JsonOut = None) -> None:
    """Show the models in STORE, and which one serves."""
    from session_rec.model_store import ModelStore

    found = ModelStore(store).models()
    table = Table(title=escape(str(store)))
    for column in ("", "name", "fingerprint", "kind", "items", "MB", "written", "trained on",
                   "certificate"):  # fmt: skip
        right = column in ("items", "MB")
        table.add_column(
            column, justify="right" if right else "left", overflow="fold", no_wrap=right
        )
    for model in found:
        table.add_row(
            "current" if model.current else "previous" if model.previous else "",
            escape(model.name),
            model.fingerprint,
            escape(model.kind),
            f"{model.items:,}" if model.fingerprint else "",
            f"{model.bytes / 1e6:.1f}" if model.fingerprint else "",
            model.written[:16].replace("T", " "),
            escape(model.data_fingerprint[:12]),
            escape(model.certificate),
        )
    out.print(table)
    for model in found:
        if model.problem:
            err.print(f"{model.name}: {model.problem}", markup=False, highlight=False)
    if not any(model.current for model in found):
        err.print("No model is current yet: session-rec models promote STORE NAME")
    if json_out:
        write_json(json_out, [msgspec.to_builtins(model) for model in found])


@models.command()
def promote(
    store: _Store,
    model: Annotated[str, typer.Argument(help="Its name, or its fingerprint or a beginning of it")],
    uncertified: Annotated[
        bool, typer.Option("--uncertified", help="Even without a passed leakage certificate.")
    ] = False,
) -> None:
    """Let MODEL of STORE serve, once every file of it was verified and it answered.

    Daemons whose 'model' is STORE take it over within a second or two, without a restart.
    """
    from session_rec.model_store import ModelStore

    at = ModelStore(store)
    before = at.pointer()
    after = at.promote(model, uncertified)
    was = f", was {before.current.name} ({before.current.fingerprint})" if before else ""
    _say(f"current: {after.current.name} ({after.current.fingerprint}){was}")
    if before is not None and at.rules_differ(before.current, after.current):
        err.print(
            "Its session rules are not those of the model before: running daemons will not take "
            "it over; restart them."
        )


@models.command()
def rollback(store: _Store) -> None:
    """Let the model before the current one of STORE serve again."""
    from session_rec.model_store import ModelStore

    at = ModelStore(store)
    after = at.rollback()
    _say(f"current: {after.current.name} ({after.current.fingerprint})")


def _say(line: str) -> None:
    out.print(line, markup=False, highlight=False, soft_wrap=True)
