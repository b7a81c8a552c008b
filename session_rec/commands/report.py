"""``session-rec report``: all about several models in one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from session_rec.console import err, out, progress_bar, write_json


def report(
    outcomes: Annotated[
        list[Path], typer.Argument(help="Files of 'evaluate --save', or directories of them.")
    ],
    out_file: Annotated[Path, typer.Option("--out", help="HTML file to write.")],
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", help="Model directory, for names and curves; may repeat."),
    ] = None,
    replay: Annotated[
        list[Path] | None,
        typer.Option("--replay", help="JSON of 'replay', for latencies; may repeat."),
    ] = None,
    cost: Annotated[Path | None, typer.Option("--cost", help="JSON of 'evaluate --cost'.")] = None,
    examples: Annotated[int, typer.Option(min=0, help="Sessions to show.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="What they are drawn with.")] = 0,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write all numbers here.")
    ] = None,
) -> None:
    """Make one self-contained HTML page of what models answered.

    Quality by kind of question, calibration, coverage, speed, examples, training, protocol.
    """
    from session_rec.files import write_file
    from session_rec.report import Report
    from session_rec.report.given import outcome_paths
    from session_rec.report.html.words import count

    files = outcome_paths(outcomes)
    with progress_bar("report", None) as advance:
        made = Report.of(
            files,
            directories=model or (),
            replays=replay or (),
            costs=cost,
            examples=examples,
            seed=seed,
            progress=advance,
        )
    page = made.html()
    write_file(out_file, page)
    if json_out:
        write_json(json_out, made.to_dict())
    out.print(f"{out_file}", markup=False, highlight=False, soft_wrap=True)
    err.print(
        f"A report on {count(len(made.models), 'model')}, {len(page) / 1e3:,.0f} kB; open it in a "
        "browser.",
        markup=False,
        highlight=False,
    )
