"""``session-rec compare``: is one model better than another?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from session_rec.commands.options import JsonOut
from session_rec.console import out, progress_bar, write_json
from session_rec.errors import DataError


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(help="Two or more files of 'evaluate --save', or directories with one."),
    ],
    metric: Annotated[
        list[str] | None, typer.Option(help="hr@K, mrr@K or ndcg@K; may repeat.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Of intervals and of tests.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    unlike_candidates: Annotated[
        bool, typer.Option("--unlike-candidates", help="Even where the ranked items differ.")
    ] = False,
    json_out: JsonOut = None,
) -> None:
    """Compare each model with the first one, question by question, sessions resampled."""
    from session_rec.evaluation.compare import METRICS, compare_all
    from session_rec.evaluation.comparison_table import (
        candidates_note,
        comparison_table,
        method_text,
    )
    from session_rec.evaluation.outcome_files import find_file
    from session_rec.evaluation.outcomes import Outcomes

    if len(files) < 2:
        raise DataError("one model alone does not compare: give two files or more")
    first, *others = (Outcomes.read(find_file(f)) for f in files)
    with progress_bar("compare", 2 * resamples * len(others)) as advance:
        found = compare_all(
            first,
            others,
            metrics=tuple(metric or METRICS),
            resamples=resamples,
            seed=seed,
            unlike_candidates=unlike_candidates,
            progress=advance,
        )
    for c in found:
        out.print(comparison_table(c))
        for text in (*c.sentences(), candidates_note(c)):
            if text:
                out.print(text, markup=False, highlight=False, soft_wrap=True)
    out.print()
    out.print(method_text(found[0]), style="dim", markup=False, highlight=False, soft_wrap=True)
    if json_out:
        write_json(json_out, [c.to_dict() for c in found])
