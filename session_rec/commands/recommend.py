"""``session-rec recommend``: ask a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from session_rec.commands.options import JsonOut
from session_rec.console import err, out, write_json


def recommend(
    items: Annotated[list[str], typer.Argument(help="Item ids of the session, newest last.")],
    model: Annotated[Path, typer.Option("--model", help="Model directory.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Length of the slate.")] = 10,
    exclude_seen: Annotated[bool, typer.Option(help="Leave out the session's items.")] = False,
    json_out: JsonOut = None,
) -> None:
    """Show what a shopper who looked at ITEMS is likely to look at next."""
    from session_rec.policy import Policy
    from session_rec.recommender import Recommender

    recommender = Recommender.load(model, Policy(exclude_seen=exclude_seen))
    catalog = recommender.catalog
    slates = recommender.recommend_many([items], k)
    for item in items:
        row = catalog.row(item)
        out.print(
            f"  looked at  {item}  " + (catalog.name(row) if row >= 0 else "(unknown item)"),
            markup=False,
            highlight=False,
        )
    if slates.fallback[0]:
        err.print("No item of the session is known to the model: these are the popular ones.")
    table = Table(title="next")
    for column, justify in (
        ("rank", "right"),
        ("item", "left"),
        ("name", "left"),
        ("score", "right"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    answer = []
    for rank, (row, score) in enumerate(
        zip(slates.rows[0].tolist(), slates.scores[0].tolist(), strict=True), 1
    ):
        if row >= 0:
            item, name = catalog.item_ids[row], catalog.name(row)
            table.add_row(str(rank), escape(item), escape(name), f"{score:.4f}")
            answer.append({"rank": rank, "item_id": item, "name": name, "score": score})
    out.print(table)
    if json_out:
        write_json(json_out, {"items": items, "model": recommender.fingerprint, "slate": answer})
