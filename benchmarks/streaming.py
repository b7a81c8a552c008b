# ruff: noqa: E402
"""Plays the test sessions of a recorded data set through a broker to the daemon, on one core.

    python benchmarks/streaming.py --data ../shared/data/rsc15_64.parquet --model DIR \
        --bootstrap-servers 127.0.0.1:9092

DIR is a model directory that ``benchmarks/quality.py`` wrote. The daemon runs on one core
(taskset); broker, player and reader share the others. All events are due at once, so events/s is
what the daemon can do. The baseline of the ratio is a popularity model on the same catalog, played
in turn with the model: what Kafka, decoding and contexts cost without a model worth the name.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.data import read_benchmark
from benchmarks.scripts import run
from session_rec.bundle import save_bundle
from session_rec.console import err, out, write_json
from session_rec.errors import UserError
from session_rec.evaluation.evaluate import evaluate
from session_rec.evaluation.replay import summarise
from session_rec.event_log import SessionLog
from session_rec.predictors.popularity import Popularity
from session_rec.recommender import MICRO_BATCH, Recommender
from session_rec.schedule import schedule
from streaming.config import KafkaSettings
from streaming.live_replay import embedded_broker_process, replay_through_kafka
from streaming.logs import set_up_logging


@dataclass(frozen=True)
class Run:
    """One play.

    Attributes:
        events_per_second: from the first event sent to the last prediction read back.
        hr20, mrr20: what the slates that came back are worth.
        missing: questions without a prediction.
        cpu_seconds: of the daemon, start-up included.
        stages: seconds that the daemon spent in each part of its rounds.
    """

    events_per_second: float
    hr20: float
    mrr20: float
    missing: int
    cpu_seconds: float
    stages: dict[str, float]


def play_once(model: Path, log: SessionLog, servers: str, core: int, partitions: int) -> Run:
    """Plays ``log`` once, as fast as it goes, to a daemon on one core that serves ``model``."""
    recommender = Recommender.load(model)
    port = _free_port()
    seen: dict[str, Any] = {}

    def look(pid: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            families = text_string_to_metric_families(page.read().decode())
        seen["stages"] = {
            sample.labels["stage"]: sample.value
            for family in families
            for sample in family.samples
            if sample.name == "session_rec_stage_seconds_sum"
        }
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seen["cpu"] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    answers = replay_through_kafka(
        model,
        log,
        schedule(log),
        KafkaSettings.model_validate({"bootstrap_servers": servers}),
        partitions=partitions,
        settings=("http=true", f"http_port={port}"),
        daemon_prefix=("taskset", "-c", str(core)),
        before_stop=look,
    )
    report = summarise(recommender, log, answers, recommender.rules, "test")
    return Run(
        report.events_per_second,
        report.metrics["hr@20"],
        report.metrics["mrr@20"],
        report.missing,
        seen["cpu"],
        seen["stages"],
    )


def streaming(
    data: Annotated[Path, typer.Option(help="Parquet file with train and test sessions.")],
    model: Annotated[Path, typer.Option(help="Model directory, trained on its train split.")],
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="host:port,… [default: the embedded broker]")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Plays of each of the two models.")] = 3,
    partitions: Annotated[int, typer.Option(min=1)] = 4,
    core: Annotated[int, typer.Option(min=0, help="Where the daemon runs.")] = 1,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write it here.")] = None,
) -> None:
    """Measure events with predictions per second on one core, and where the time goes."""
    set_up_logging("ERROR")
    log = read_benchmark(data).test
    recommender = Recommender.load(model)
    offline = evaluate(recommender, log, name="offline", split="test")
    broker = nullcontext(bootstrap_servers) if bootstrap_servers else embedded_broker_process()
    results: dict[str, list[Run]] = {"popularity": [], recommender.predictor.kind: []}
    with tempfile.TemporaryDirectory() as scratch, broker as servers:
        baseline = Path(scratch) / "popularity"
        save_bundle(
            baseline,
            recommender.catalog,
            Popularity(recommender.popular_scores),
            recommender.rules,
            data_fingerprint="of the model under test",
        )
        for number in range(runs):
            for name, path in zip(results, (baseline, model), strict=True):
                err.print(f"run {number + 1} of {runs}: {name}")
                results[name].append(play_once(path, log, servers or "", core, partitions))
    ours = results[recommender.predictor.kind]
    if any(r.missing or abs(r.hr20 - offline.metrics["hr@20"]) > 1e-12 for r in ours):
        raise UserError(
            f"live HR@20 {[r.hr20 for r in ours]} is not evaluate's {offline.metrics['hr@20']}"
        )
    questions = log.questions(recommender.catalog, recommender.rules)
    length = float((questions.ends - questions.starts).mean())
    _print(results, len(log), recommender, length, servers or "", bootstrap_servers is None)
    out.print(
        f"Live HR@20 {100 * ours[0].hr20:.2f}, MRR@20 {100 * ours[0].mrr20:.2f}: equal to "
        "evaluate's under the same rules, in every run.",
        highlight=False,
    )
    if json_out:
        write_json(json_out, {k: [vars(r) for r in v] for k, v in results.items()})


def _print(
    results: dict[str, list[Run]],
    events: int,
    recommender: Recommender,
    length: float,
    servers: str,
    embedded: bool,
) -> None:
    base = median(r.events_per_second for r in results["popularity"])
    table = Table(
        title="events with predictions per second, daemon on one core",
        caption=(
            f"{events:,} events at once, mean context {length:.1f} events, micro-batches of "
            f"{MICRO_BATCH}, exact retrieval over {len(recommender.catalog):,} items, slates of "
            f"20, conflation off, at-least-once; "
            f"{'embedded broker' if embedded else 'broker at ' + servers}. Median of "
            f"{len(results['popularity'])} plays."
        ),
        box=SIMPLE_HEAD,
    )
    table.add_column("")
    for name in results:
        table.add_column(name, justify="right", no_wrap=True)

    def row(title: str, cell: Callable[[list[Run]], str]) -> None:
        table.add_row(title, *(cell(plays) for plays in results.values()))

    def rates(plays: list[Run]) -> list[float]:
        return sorted(r.events_per_second for r in plays)

    row("events/s", lambda plays: f"{median(rates(plays)):,.0f}")
    row("least to most", lambda plays: f"{rates(plays)[0]:,.0f} to {rates(plays)[-1]:,.0f}")
    row("ratio to popularity", lambda plays: f"{median(rates(plays)) / base:.2f}")
    for stage in ("contexts", "recommend", "send", "flush", "commit"):
        row(
            f"{stage}, µs per event",
            lambda plays, stage=stage: (  # type: ignore[misc]
                f"{1e6 * median(r.stages[stage] for r in plays) / events:.0f}"
            ),
        )
    row("daemon CPU s, start-up too", lambda plays: f"{median(r.cpu_seconds for r in plays):.1f}")
    out.print(table)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
    return port


if __name__ == "__main__":
    run(streaming)
