"""``session-rec evaluate``: how good models are on recorded sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from session_rec.commands.options import JsonOut
from session_rec.console import err, out, progress_bar, write_json
from session_rec.errors import DataError


def evaluate(
    model: Annotated[list[Path], typer.Option("--model", help="Model directory; may repeat.")],
    sessions: Annotated[Path, typer.Option("--sessions", help="Parquet of prepared sessions.")],
    split: Annotated[str, typer.Option(help="What to call the split in the protocol.")] = "",
    min_prefix: Annotated[int, typer.Option(min=1, help="Events before a question.")] = 1,
    cost: Annotated[bool, typer.Option(help="Also time single contexts and batches.")] = False,
    save: Annotated[
        Path | None,
        typer.Option(help="Directory for the outcome of every question, a Parquet file per model."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over outcomes of other models or questions.")
    ] = False,
    json_out: JsonOut = None,
) -> None:
    """Rank the next item of every position of SESSIONS among all items."""
    from session_rec.evaluation.cost import measure_cost
    from session_rec.evaluation.evaluate import evaluate as run
    from session_rec.evaluation.names import distinct_names, outcome_files
    from session_rec.evaluation.outcome_files import check_replaceable
    from session_rec.evaluation.outcomes import Outcomes
    from session_rec.evaluation.protocol import Protocol
    from session_rec.evaluation.table import evaluation_table
    from session_rec.event_log import read_sessions
    from session_rec.files import check_writable
    from session_rec.recommender import Recommender

    names = distinct_names(model)
    files = outcome_files(save, names) if save else []
    recommenders = [Recommender.load(path) for path in model]
    log = read_sessions(sessions)
    if len({r.rules for r in recommenders}) > 1:
        raise DataError(
            "the models were trained under unlike session rules: their figures would "
            "not compare; evaluate them one by one"
        )
    split = split or sessions.stem
    if not replace:
        for file, r in zip(files, recommenders, strict=False):
            questions = log.questions(r.catalog, r.rules, min_prefix)
            protocol = Protocol.of(log, questions, r.catalog, r.rules, split, min_prefix)
            check_replaceable(file, r.fingerprint, protocol)
    for file in [*files, *([json_out] if json_out else [])]:
        check_writable(file)
    results, costs = [], []
    for i, (name, recommender) in enumerate(zip(names, recommenders, strict=True)):
        questions = log.questions(recommender.catalog, recommender.rules, min_prefix)
        with progress_bar(f"evaluate {name}", len(questions)) as advance:
            result = run(
                recommender,
                log,
                name=name,
                split=split,
                min_prefix=min_prefix,
                keep_shown=save is not None,
                progress=advance,
            )
        if save:
            Outcomes.of(result, recommender, log).save(files[i])
        results.append(result)
        costs.append(measure_cost(recommender, questions) if cost else None)
    out.print(evaluation_table(results, costs))
    if save:
        err.print(
            f"The outcome of every question is in {', '.join(map(str, files))}.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if json_out:
        write_json(
            json_out,
            [
                r.to_dict() | ({"cost_ms": c.to_dict()} if c else {})
                for r, c in zip(results, costs, strict=True)
            ],
        )
