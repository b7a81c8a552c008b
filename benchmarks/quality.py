# ruff: noqa: E402
"""Trains models on a recorded data set and ranks every next item by the published protocol.

    python benchmarks/quality.py --data ../shared/data/rsc15_64.parquet

Figures are of a validation slice (the newest 8 % of the training sessions, by their last event)
until ``--final`` is given: then models are fitted on the whole train split, nothing is left for
early stopping (a transformer runs the epochs of its recipe to the end), the test split is scored,
and the reading is added to the committed ledger. Beside each model lies what became of every
question, for ``session-rec compare``: that of two models takes no further reading.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

# One BLAS thread, set before numpy is imported: the same bits on every run, on one core.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import typer

from benchmarks import ledger
from benchmarks.data import BenchmarkData, in_time_order, last_sessions, read_benchmark
from benchmarks.published import KnownData, known_data
from benchmarks.recipes import Recipe, recipes_for
from benchmarks.rows import Row, percents, published_table, results_table
from benchmarks.scripts import run
from session_rec.bundle import save_bundle
from session_rec.console import err, out, progress_bar, write_json
from session_rec.errors import DataError
from session_rec.evaluation.evaluate import evaluate
from session_rec.evaluation.outcomes import Outcomes
from session_rec.event_log import SessionLog
from session_rec.ragged import Ragged
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules
from training.fitters import FitData, Fitted, fit_model
from training.leakage.certify import FittedOn, certify
from training.train import build_catalog

#: The rules of the published protocols: sessions as given, position order.
RULES = SessionRules("pairs")
#: Share of the training sessions that is held out for tuning.
VALIDATION = 0.08


def run_recipe(
    recipe: Recipe,
    data: BenchmarkData,
    train: SessionLog,
    scored: SessionLog,
    *,
    final: bool,
    min_prefix: int,
    run_dir: Path,
) -> Row:
    """Trains, writes the model directory, and scores ``scored`` from what was written.

    Raises:
        LeakageError: the model leaks, or was fitted on a session of the file's test split.
    """
    split = "test" if final else "validation"
    catalog = build_catalog(train)
    place = run_dir / data.name / split / f"{recipe.name}-{recipe.config_hash}-{recipe.seed}"
    fit_data = FitData(
        train.training_sessions(catalog, RULES),
        Ragged.from_lists([]) if final else scored.training_sessions(catalog, RULES),
        len(catalog),
        place / "run",
        err,
    )
    fitted = fit_model(recipe.kind, fit_data, recipe.settings)
    certificate = certify(
        catalog,
        fitted,
        RULES,
        recipe.settings,
        FittedOn(fit_data, train, None if final else scored, data.test),
        console=err,
    )
    save_bundle(
        place / "model",
        catalog,
        fitted.predictor,
        RULES,
        data_fingerprint=train.fingerprint,
        training={"settings": recipe.settings.model_dump(mode="json")},
        leakage=certificate,
        replace=True,
    )
    recommender = Recommender.load(place / "model")
    total = len(scored.questions(catalog, RULES, min_prefix))
    with progress_bar(f"{recipe.name}, {split}", total) as advance:
        result = evaluate(
            recommender,
            scored,
            name=recipe.name,
            split=split,
            min_prefix=min_prefix,
            keep_shown=True,
            progress=advance,
        )
    Outcomes.of(result, recommender, scored).save(place / "outcomes.parquet")
    return Row(
        model=recipe.name,
        kind=recipe.kind,
        split=split,
        data=data.name,
        data_fingerprint=data.fingerprint,
        train_seconds=round(_train_seconds(fitted), 2),
        config_hash=recipe.config_hash,
        seed=recipe.seed,
        settings=recipe.settings.model_dump(mode="json"),
        deterministic=bool(fitted.record.get("deterministic", True)),
        **percents(result),
    )


def quality(
    data: Annotated[Path, typer.Option(help="Parquet file with train and test sessions.")],
    models: Annotated[str, typer.Option(help="Recipes or kinds to run, comma-separated.")] = "",
    config: Annotated[
        Path | None,
        typer.Option(help="TOML with one table per recipe; default: the one tuned on this data."),
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Score the test split and add it to the ledger.")
    ] = False,
    min_prefix: Annotated[int, typer.Option(min=1, help="Clicks before a scored one.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipes' own.")] = None,
    run_dir: Annotated[Path, typer.Option(help="Models, checkpoints, logs.")] = Path(
        "runs/quality"
    ),
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write the rows here.")
    ] = None,
) -> None:
    """Train on the train split, rank every next item, print the figures beside published ones."""
    # Now, not when a row is done: others may commit while this program runs.
    commit = ledger.commit()
    read = read_benchmark(data)
    known = known_data(read.fingerprint)
    recipes = recipes_for(
        read, data, config, [m.strip() for m in models.split(",") if m.strip()], seed
    )
    if final:
        train, scored = in_time_order(read.train), read.test
    else:
        train, scored = last_sessions(read.train, VALIDATION)
    _check_positions(known, scored, final and min_prefix == 1)
    rows = []
    for recipe in recipes:
        row = run_recipe(
            recipe, read, train, scored, final=final, min_prefix=min_prefix, run_dir=run_dir
        )
        if final:
            ledger.append({**commit, **row.to_dict()})
        rows.append(row)
        err.print(f"{row.model}: HR@20 {row.hr20:.2f}, MRR@20 {row.mrr20:.2f}", markup=False)
        if json_out is not None:
            write_json(json_out, [r.to_dict() for r in rows])
    reads = [ledger.reads(read.fingerprint, r.kind, r.config_hash) for r in rows]
    out.print(results_table(rows, known, reads))
    if known is not None:
        out.print(published_table(known))


def _check_positions(known: KnownData | None, scored: SessionLog, published: bool) -> None:
    """Before anything is trained: another number of positions is another protocol."""
    if known is None or not published:
        return
    positions = len(scored.questions(build_catalog(scored), RULES))
    if positions != known.positions:
        raise DataError(
            f"{known.name} has {known.positions:,} positions to score, but the rules give "
            f"{positions:,}: its published figures would not compare"
        )


def _train_seconds(fitted: Fitted) -> float:
    """Of this call, or of all calls where a run was resumed."""
    history = fitted.record.get("history") or [{}]
    return max(fitted.seconds, float(history[-1].get("seconds", 0.0)))


def main() -> None:
    """Runs the command; a user's mistake ends in one sentence and exit code 2."""
    run(quality)


if __name__ == "__main__":
    main()
