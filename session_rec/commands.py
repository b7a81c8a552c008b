"""Commands of the engine: look at a model, ask it, evaluate it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from session_rec.console import err, out, progress_bar, write_json
from session_rec.errors import DataError

Model = Annotated[Path, typer.Option("--model", help="Model directory.")]
JsonOut = Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")]


def register(app: typer.Typer) -> None:
    """Adds the commands of the engine to the command line."""
    app.command()(recommend)
    app.command()(evaluate)
    app.command()(demo)


def recommend(
    items: Annotated[list[str], typer.Argument(help="Item ids of the session, newest last.")],
    model: Model,
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


def evaluate(
    model: Annotated[list[Path], typer.Option("--model", help="Model directory; may repeat.")],
    sessions: Annotated[Path, typer.Option("--sessions", help="Parquet of prepared sessions.")],
    split: Annotated[str, typer.Option(help="What to call the split in the protocol.")] = "",
    min_prefix: Annotated[int, typer.Option(min=1, help="Events before a question.")] = 1,
    cost: Annotated[bool, typer.Option(help="Also time single contexts and batches.")] = False,
    json_out: JsonOut = None,
) -> None:
    """Rank the next item of every position of SESSIONS among all items."""
    from session_rec.evaluation.cost import measure_cost
    from session_rec.evaluation.evaluate import evaluate as run
    from session_rec.evaluation.table import evaluation_table
    from session_rec.event_log import read_sessions
    from session_rec.recommender import Recommender

    recommenders = [(path, Recommender.load(path)) for path in model]
    log = read_sessions(sessions)
    rules = {r.rules for _, r in recommenders}
    if len(rules) > 1:
        raise DataError(
            "the models were trained under unlike session rules: their figures would "
            "not compare; evaluate them one by one"
        )
    results, costs = [], []
    for path, recommender in recommenders:
        questions = log.questions(recommender.catalog, recommender.rules, min_prefix)
        with progress_bar(f"evaluate {path.name}", len(questions)) as advance:
            results.append(
                run(
                    recommender,
                    log,
                    name=path.name,
                    split=split or sessions.stem,
                    min_prefix=min_prefix,
                    progress=advance,
                )
            )
        costs.append(measure_cost(recommender, questions) if cost else None)
    out.print(evaluation_table(results, costs))
    if json_out:
        write_json(
            json_out,
            [
                r.to_dict() | ({"cost_ms": c.to_dict()} if c else {})
                for r, c in zip(results, costs, strict=True)
            ],
        )


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
