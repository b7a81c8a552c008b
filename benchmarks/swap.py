# ruff: noqa: E402
"""Promotes one of two models in turn while a daemon serves, and times the answers around each swap.

    python benchmarks/swap.py

Makes two models of ``--items`` items, or takes two directories (``--models A --models B``, trained
on the same items), and starts an embedded broker and a daemon that follows a store of the two. The
load is steady; latency counts from the time an event was due until its prediction was read back.
*During* are the events that were due from a promotion until the first answer by the promoted model:
while the daemon verifies, loads and warms it up. *Before* and *after* are as long as that, next to
it, so that all three meet the same neighbours on a shared machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import typer
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.scripts import run
from session_rec.bundle import save_bundle
from session_rec.catalog import Catalog
from session_rec.console import err, out, write_json
from session_rec.errors import UserError
from session_rec.event_log import SessionLog
from session_rec.manifest import fingerprint
from session_rec.model_pointer import Release, first_pointer, write_pointer
from session_rec.predictors.item2vec import ContextVectorConfig, Item2Vec
from session_rec.recommender import Recommender
from session_rec.schedule import schedule
from session_rec.sessions import SessionRules
from streaming.config import KafkaSettings
from streaming.live_replay import embedded_broker_process, replay_through_kafka
from streaming.logs import set_up_logging
from streaming.messages import Prediction

_BEGIN_MS = 1_700_000_000_000
_AT_ONCE = 10  # sessions that are live at the same time


@dataclass
class Swap:
    """``promoted``, ``answered``: seconds since the epoch of the pointer's change and of the first
    prediction by ``model`` that was read back, 0 before it was."""

    model: str
    promoted: float
    answered: float = 0.0


class Promoter:
    """Promotes the two releases in turn, and notes when which model answered."""

    def __init__(self, store: Path, releases: list[Release], every_s: float) -> None:
        self.swaps: list[Swap] = []
        self.received: dict[int, float] = {}  # ts of an event -> when its prediction was read
        self._store, self._releases, self._every_s = store, releases, every_s
        self._pointer = first_pointer(releases[0])
        write_pointer(store, self._pointer)
        self._begun, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def read(self, prediction: Prediction) -> None:
        now = time.time()
        self.received[prediction.ts] = now
        self._begun.set()
        if self.swaps and not self.swaps[-1].answered and prediction.model == self.swaps[-1].model:
            self.swaps[-1].answered = now

    def stop(self) -> None:
        self._begun.set()
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        self._begun.wait()
        while not self._done.wait(self._every_s):
            if self.swaps and not self.swaps[-1].answered:
                continue  # a slow machine: one at a time
            release = self._releases[1 - len(self.swaps) % 2]
            self._pointer = self._pointer.then(release)
            self.swaps.append(Swap(release.fingerprint, time.time()))
            write_pointer(self._store, self._pointer)


def made_models(store: Path, items: int, width: int) -> list[Path]:
    """Two models of the same items with vectors drawn at random."""
    found = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        count = rng.integers(1, 1000, items)
        vectors = rng.standard_normal((items, width), np.float32)
        model = Item2Vec.from_vectors(vectors, vectors, count, ContextVectorConfig())
        catalog = Catalog(tuple(f"item-{n:07d}" for n in range(items)), count)
        found.append(store / f"drawn-{seed}")
        save_bundle(found[-1], catalog, model, SessionRules(), data_fingerprint=f"seed {seed}")
    return found


def steady_log(item_ids: tuple[str, ...], events: int, rate: float) -> SessionLog:
    """Sessions of ten clicks on items drawn at random, ten at a time, in even distances."""
    n = np.arange(events)
    session = n // (10 * _AT_ONCE) * _AT_ONCE + n % _AT_ONCE
    order = np.argsort(session, kind="stable")
    rng = np.random.default_rng(0)
    return SessionLog(
        tuple(f"s{i}" for i in range(int(session.max()) + 1)),
        session[order],
        item_ids,
        rng.integers(0, len(item_ids), events).astype(np.int32),
        _BEGIN_MS + (n * 1000 / rate).astype(np.int64)[order],
        ("view",),
        np.zeros(events, np.int16),
        np.full(events, -1, np.int64),
    )


def windows(
    swaps: list[Swap], due: NDArray[np.float64], latency: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Latencies, seconds, of the events before, during and after the swaps."""
    parts: dict[str, list[NDArray[np.float64]]] = {"before": [], "during": [], "after": []}
    for swap in swaps:
        length = swap.answered - swap.promoted
        for number, name in enumerate(parts, -1):
            begin = swap.promoted + number * length
            parts[name].append(latency[(due >= begin) & (due < begin + length)])
    return {name: np.concatenate(values) for name, values in parts.items()}


def swap(
    models: Annotated[list[Path] | None, typer.Option(help="A model directory; give two.")] = None,
    items: Annotated[int, typer.Option(min=100, help="Of the models that are made.")] = 50_000,
    width: Annotated[int, typer.Option(min=1, help="Of their vectors.")] = 64,
    rate: Annotated[float, typer.Option(min=1, help="Events per second.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=5, help="How long the load lasts.")] = 90.0,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between promotions.")] = 4.0,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write it here.")] = None,
) -> None:
    """Measure the latency before, during and after a swap of the model."""
    set_up_logging("ERROR")
    if models and len(models) != 2:
        raise UserError("give --models twice, for the two that are promoted in turn")
    with tempfile.TemporaryDirectory() as scratch, embedded_broker_process() as servers:
        store = Path(scratch)
        for n, model in enumerate(models or []):
            (store / f"given-{n}").symlink_to(model.resolve(), target_is_directory=True)
        paths = sorted(store.iterdir()) if models else made_models(store, items, width)
        loaded = Recommender.load(paths[0])
        log = steady_log(loaded.catalog.item_ids, int(rate * seconds), rate)
        err.print(f"{len(log):,} events at {rate:g}/s, a promotion every {every:g} s")
        promoter = Promoter(store, [Release(p.name, fingerprint(p)) for p in paths], every)
        try:
            answers = replay_through_kafka(
                store,
                log,
                schedule(log, rate=rate),
                KafkaSettings.model_validate({"bootstrap_servers": servers}),
                settings=("model_poll_s=0.1", "rollback_window_s=2"),
                on_prediction=promoter.read,
            )
        finally:
            promoter.stop()
    missing = int(np.isnan(answers.latency).sum())
    if missing:
        raise UserError(f"{missing} of {len(log)} events were not answered")
    due = np.array([promoter.received[ts] for ts in log.ts.tolist()]) - answers.latency
    swaps = [s for s in promoter.swaps if s.answered]
    parts = windows(swaps, due, answers.latency)
    took = np.median([s.answered - s.promoted for s in swaps])
    table = Table(
        title="latency around a swap of the model, ms",
        caption=(
            f"{len(log):,} events at {rate:g}/s, all answered once; {len(swaps)} swaps, median "
            f"{took:.2f} s from promotion to the first answer; {loaded.predictor.kind}, "
            f"{len(loaded.catalog):,} items; embedded broker, all on this machine."
        ),
        box=SIMPLE_HEAD,
    )
    for column in ("", "events", "p50", "p99", "p99 to before"):
        table.add_column(column, justify="left" if not column else "right")
    figures = {}
    base = float(np.percentile(parts["before"], 99))
    for name, values in parts.items():
        p50, p99 = (1000 * float(np.percentile(values, q)) for q in (50, 99))
        figures[name] = {"events": len(values), "p50_ms": p50, "p99_ms": p99}
        table.add_row(
            name, f"{len(values):,}", f"{p50:.1f}", f"{p99:.1f}", f"{p99 / 1000 / base:.2f}"
        )
    out.print(table)
    if json_out:
        write_json(json_out, {"swaps": len(swaps), "seconds_to_swap": float(took), **figures})


if __name__ == "__main__":
    run(swap)
