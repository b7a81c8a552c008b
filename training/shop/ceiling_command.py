"""The command ``session-rec ceiling``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

#: Whole visits: what lies further back than a model's context still tells of the intent.
_WHOLE_VISIT = 1_000_000


def register(app: typer.Typer) -> None:
    """Adds ``ceiling`` to the command line."""
    app.command("ceiling")(ceiling)


def ceiling(
    shop: Annotated[Path, typer.Option(help="Directory that `session-rec generate` wrote.")],
    prepared: Annotated[Path, typer.Option(help="Directory that `session-rec prepare` wrote.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write the figures here.")
    ] = None,
) -> None:
    """Show how well the best possible ranking does on a generated shop."""
    from session_rec.catalog import Catalog
    from session_rec.console import out, write_json
    from session_rec.event_log import read_sessions
    from training.shop.ceiling import Ceiling, ceiling_metrics
    from training.train import prepared_rules

    exact = Ceiling.from_file(shop / "shop.json")
    items = exact.world.catalog.item_id
    catalog = Catalog.from_counts(dict.fromkeys(items, 0))
    log = read_sessions(prepared / f"{split}.parquet")
    rules = replace(prepared_rules(prepared), max_length=_WHOLE_VISIT)
    questions = log.questions(catalog, rules)
    to_shop = exact.rows(catalog.item_ids)
    contexts = questions.contexts(slice(None))
    contexts = replace(contexts, rows=to_shop[contexts.rows])
    figures = ceiling_metrics(exact, contexts, to_shop[questions.targets])
    out.print(
        f"ceiling on {split}: HR@20 {100 * figures['hr']:.2f}, MRR@20 {100 * figures['mrr']:.2f} "
        f"over {figures['positions']:,} questions (expected {100 * figures['expected_hr']:.2f} and "
        f"{100 * figures['expected_mrr']:.2f}): no ranking of what is observed can do better",
        highlight=False,
    )
    if json_out:
        write_json(json_out, figures)
