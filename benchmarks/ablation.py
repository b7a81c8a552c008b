# ruff: noqa: E402
"""The ablation table: the transformer's recipe with one thing changed, on the validation slice.

    python benchmarks/ablation.py --data rsc15_64.parquet --levers base,gated,gbce-.75

The slice is that of ``quality.py``: the newest 8 % of the training sessions. Figures are those of
the torch model after the last epoch, on targets that training knew, ties counted against it; each
is a line of ``ablation.jsonl``. The test split is not read.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

# One BLAS thread, set before numpy is imported: the same bits on every run, on one core.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import typer

from benchmarks import ledger
from benchmarks.data import last_sessions, read_benchmark
from benchmarks.levers import levers
from benchmarks.levers.lever import LeverRun, MakeLever
from benchmarks.quality import RULES, VALIDATION
from benchmarks.recipes import recipes_for
from benchmarks.scripts import run
from session_rec.config import parse_config
from session_rec.console import err
from session_rec.errors import ConfigError
from session_rec.ragged import Ragged
from training.fitters import FitData, soft_targets
from training.train import build_catalog
from training.transformer.config import TransformerConfig
from training.transformer.reporting import Reporter
from training.transformer.runtime import StopRequest, torch_settings

RESULTS = ROOT / "benchmarks" / "ablation.jsonl"


def train_with(
    make: MakeLever,
    train: Ragged,
    valid: Ragged,
    n_items: int,
    config: TransformerConfig,
    answers: Path,
) -> dict[str, float]:
    """Trains the recipe with one lever to its last epoch.

    A teacher's answers are kept in ``answers``: levers that weigh the same ones otherwise find
    them there. Returns ``hr20`` and ``mrr20`` (0..1) on ``valid``, and ``seconds``.
    """
    lever = make()
    changed = config.model_dump() | dict(lever.settings) | {"patience": 10_000}
    settings = TransformerConfig.model_validate(changed)
    begin = time.monotonic()
    taught = None
    if settings.teacher is not None:
        taught = soft_targets(FitData(train, valid, n_items, answers, err), settings)
    with (
        tempfile.TemporaryDirectory() as place,
        torch_settings(settings.threads),
        StopRequest() as stop,
    ):
        training = LeverRun(lever, train, valid, n_items, settings, Path(place))
        training.taught = taught
        with Reporter(Path(place), err, training.total_steps, training.state) as reporter:
            training.train(stop, reporter)
        last = training.state.history[-1]
        return {k: last[k] for k in ("hr20", "mrr20")} | {"seconds": time.monotonic() - begin}


def ablation(
    data: Annotated[Path, typer.Option(help="Parquet file with train and test sessions.")],
    names: Annotated[str, typer.Option("--levers", help="Comma-separated; empty: all.")] = "",
    config: Annotated[
        Path | None,
        typer.Option(help="TOML with the recipes; default: the one tuned on this data."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value: a setting of the recipe, for all rows."),
    ] = None,
    newest: Annotated[
        float, typer.Option(min=0, max=1, help="Train on this share of the sessions, the newest.")
    ] = 1.0,
    results: Annotated[Path, typer.Option(help="Gets a line per training.")] = RESULTS,
) -> None:
    """Train the transformer's recipe with one thing changed at a time, and print what it does."""
    commit = ledger.commit()
    read = read_benchmark(data)
    kinds = ["item2vec", "two-stage", "transformer"]
    *others, base = recipes_for(read, data, config, kinds, seed)
    known_levers = levers(*(other.settings.model_dump() for other in others))
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(known_levers)
    for name in wanted:
        if name not in known_levers:
            raise ConfigError(f"unknown lever {name!r}: choose of {', '.join(known_levers)}")
    recipe = parse_config(
        base.settings.model_dump(), TransformerConfig, f"{data.stem} [transformer]", settings or ()
    )
    if recipe.teacher is not None:
        raise ConfigError(
            f"{data.stem} [transformer]: leave its teacher out, whose answers are not to what some "
            "levers show; those named distilled have a teacher"
        )
    given = {key: value for key, _, value in (pair.partition("=") for pair in settings or ())}
    train, scored = last_sessions(read.train, VALIDATION)
    if newest < 1:
        train = last_sessions(train, newest)[1]
    catalog = build_catalog(train)
    sessions = [log.training_sessions(catalog, RULES) for log in (train, scored)]
    with tempfile.TemporaryDirectory() as answers:
        for name in wanted:
            row = train_with(known_levers[name], *sessions, len(catalog), recipe, Path(answers))
            line = {
                **commit,
                "data": read.name,
                "lever": name,
                "seed": seed,
                "newest": newest,
                "set": given,
                "hr20": round(100 * row["hr20"], 2),
                "mrr20": round(100 * row["mrr20"], 2),
                "seconds": round(row["seconds"], 1),
            }
            ledger.append(line, results)
            err.print(
                f"{read.name}, {name}: HR@20 {line['hr20']:.2f}, MRR@20 {line['mrr20']:.2f}, "
                f"{line['seconds']:.0f} s",
                markup=False,
            )


def main() -> None:
    """Runs the command; a user's mistake ends in one sentence and exit code 2."""
    run(ablation)


if __name__ == "__main__":
    main()
