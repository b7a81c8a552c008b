"""``session-rec evaluate``: how good models are on recorded sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from session_rec.commands.options import JsonOut
from session_rec.console import out, progress_bar, write_json
from session_rec.errors import DataError


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
