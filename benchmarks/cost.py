# ruff: noqa: E402
"""What a recommendation costs with each of several model directories, beside the first of them.

    python benchmarks/cost.py DIR [DIR ...] --data rsc15_64.parquet

Milliseconds per context on one thread, called alone and with 64 in a call, slates of 20, contexts
drawn from the test sessions of the file; the models take turns, so that all meet the same
neighbours on a shared machine, and each figure is the median over the turns. Bytes are those of the
model directory and of what a process grows by when it loads the model.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.data import read_benchmark
from benchmarks.scripts import run
from session_rec.console import out, progress_bar, write_json
from session_rec.evaluation.cost import Cost, measure_cost
from session_rec.recommender import Recommender

#: Prints by how many MiB a process that has the libraries already grows with the model.
_GROWTH = """
import resource, sys
from pathlib import Path
import numpy, onnxruntime
from session_rec import Ragged, Recommender
def rss():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
before = rss()
model = Recommender.load(Path(sys.argv[1]))
model.recommend([model.catalog.item_ids[0]])
print(rss() - before)
"""


@dataclass(frozen=True)
class ModelCost:
    """Medians over the turns.

    Attributes:
        model: its directory.
        kind: model kind.
        single_p50, single_p99: milliseconds of a call with one context.
        batch_p50: milliseconds per context, 64 in a call.
        ratio: ``batch_p50`` to that of the first model, turn by turn.
        directory_mib, memory_mib: MiB on disk, and MiB that a process grows by.
    """

    model: str
    kind: str
    single_p50: float
    single_p99: float
    batch_p50: float
    ratio: float
    directory_mib: float
    memory_mib: float


def measure(models: list[Path], data: Path, turns: int, calls: int) -> list[ModelCost]:
    """The costs of ``models``, in their order.

    Raises:
        DataError, BundleError: the file or a directory cannot be read.
    """
    log = read_benchmark(data).test
    loaded = [Recommender.load(path) for path in models]
    questions = [log.questions(r.catalog, r.rules) for r in loaded]
    costs: list[list[Cost]] = [[] for _ in models]
    with progress_bar("calls", turns * len(models)) as advance:
        for turn in range(turns):
            for own, recommender, asked in zip(costs, loaded, questions, strict=True):
                own.append(measure_cost(recommender, asked, calls, seed=turn))
                advance(1)
    return [
        ModelCost(
            str(path),
            recommender.predictor.kind,
            float(np.median([c.single_p50 for c in own])),
            float(np.median([c.single_p99 for c in own])),
            float(np.median([c.batch_p50 for c in own])),
            float(
                np.median([c.batch_p50 / f.batch_p50 for c, f in zip(own, costs[0], strict=True)])
            ),
            sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) / 2**20,
            _growth(path),
        )
        for path, recommender, own in zip(models, loaded, costs, strict=True)
    ]


def _growth(model: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _GROWTH, str(model)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def cost(
    models: Annotated[list[Path], typer.Argument(help="Model directories, the baseline first.")],
    data: Annotated[Path, typer.Option(help="Parquet file with test sessions.")],
    turns: Annotated[int, typer.Option(min=1, help="How often each model has its turn.")] = 5,
    calls: Annotated[int, typer.Option(min=8, help="Single calls in a turn.")] = 300,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write them here.")] = None,
) -> None:
    """Time models on the same contexts, in turn."""
    rows = measure(models, data, turns, calls)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    for name in ("ms alone", "p99", "ms of 64", "ratio", "MiB", "MiB memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.kind,
            f"{row.single_p50:.2f}",
            f"{row.single_p99:.2f}",
            f"{row.batch_p50:.3f}",
            f"{row.ratio:.2f}",
            f"{row.directory_mib:.1f}",
            f"{row.memory_mib:.0f}",
        )
    out.print(table)
    if json_out is not None:
        write_json(json_out, [asdict(row) for row in rows])


if __name__ == "__main__":
    run(cost)
