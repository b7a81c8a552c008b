"""The demo: every step is a command that a user could type, run one after another and shown."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.rule import Rule
from rich.table import Table

from session_rec.bundle import CATALOG
from session_rec.catalog import Catalog
from session_rec.console import err, out, write_json
from session_rec.errors import DataError
from session_rec.signals import signals_held_back

#: Weakest first; each has its settings, tuned with one budget, in ``configs/demo``.
MODELS = (
    "popularity", "session-popularity", "sequential-rules", "vmis-knn", "item2vec", "transformer",
    "two-stage",
)  # fmt: skip
#: Which of them goes live, whoever won: what ``train`` makes by default.
LIVE = "two-stage"
#: Seconds that an interrupted step has before it is told once more.
_OWN_END_S = 10


@dataclass
class Demo:
    """Where the demo's files are.

    Attributes:
        root: directory that it writes; finished steps of an earlier run are done again.
        configs: directory with ``prepare.toml``, and one TOML file per model in ``demo/``.
        seed: of the shop and of every model.
        sessions: session ids of the generated shop.
        live_sessions: recorded sessions that are played through the broker.
        rate: events per second of that play.
    """

    root: Path
    configs: Path
    seed: int
    sessions: int
    live_sessions: int
    rate: float
    show: int

    def run(self) -> None:
        """Runs all steps and prints the final table.

        Raises:
            DataError: the settings of the demo are not there.
            KeyboardInterrupt: Ctrl-C; what ran was stopped and left nothing half-written. So it
                is on SIGTERM, which the command line makes a SystemExit.
            SystemExit: a step failed; it has said why.
        """
        for path in (self._prepare_config, *map(self._model_config, MODELS)):
            if not path.is_file():
                raise DataError(f"{path} is not there: run the demo from the repository")
        begin = time.monotonic()
        r = self.root
        self._title("a shop and its clickstream")
        self._step(
            "generate",
            "--out",
            r / "shop",
            "--seed",
            self.seed,
            "--sessions",
            self.sessions,
            "--replace",
        )
        self._title("from clicks to sessions")
        self._step(
            "prepare",
            "--config",
            self._prepare_config,
            "--input",
            r / "shop" / "clickstream.parquet",
            "--out",
            r / "sessions",
            "--set",
            f'catalog.input="{r / "shop" / "catalog.parquet"}"',
            "--replace",
        )
        seconds = {name: self._train(name) for name in MODELS}
        self._title("how good: held-out sessions, every position, all items ranked")
        models = [a for name in MODELS for a in ("--model", r / "models" / name)]
        test = r / "sessions" / "test.parquet"
        self._step(
            "evaluate",
            *models,
            "--sessions",
            test,
            "--cost",
            "--json",
            r / "quality.json",
            "--save",
            r / "outcomes",
            "--replace",
        )
        self._step(
            "ceiling",
            "--shop",
            r / "shop",
            "--prepared",
            r / "sessions",
            "--json",
            r / "ceiling.json",
        )
        self._title(f"live: the {LIVE} behind a broker and a daemon")
        self._step(
            "replay",
            "--model",
            r / "models" / LIVE,
            "--sessions",
            test,
            "--through-kafka",
            "--first",
            self.live_sessions,
            "--rate",
            self.rate,
            "--show",
            self.show,
            "--json",
            r / "live.json",
        )
        self._title("all about it in one page")
        self._step(
            "report",
            r / "outcomes",
            *models,
            "--replay",
            r / "live.json",
            "--cost",
            r / "quality.json",
            "--out",
            r / "report.html",
            "--json",
            r / "report.json",
        )
        self._title("result")
        self._result(seconds)
        minutes = (time.monotonic() - begin) / 60
        out.print(
            f"All of it took {minutes:.1f} minutes. Models, sessions and figures are in {r}.",
            highlight=False,
        )
        out.print(
            f"The report, for a browser: {r / 'report.html'}", highlight=False, soft_wrap=True
        )
        model = r / "models" / LIVE
        catalog = Catalog.from_json((model / CATALOG).read_bytes())
        items = " ".join(catalog.item_ids[row] for row in catalog.by_popularity[:2])
        out.print(
            f"Ask one yourself: {Path(sys.executable).parent / 'session-rec'} recommend "
            f"--model {model} {items}\n",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    @property
    def _prepare_config(self) -> Path:
        return self.configs / "prepare.toml"

    def _model_config(self, name: str) -> Path:
        return self.configs / "demo" / f"{name}.toml"

    def _train(self, name: str) -> float:
        self._title(f"train {name}")
        begin = time.monotonic()
        model = self.root / "models" / name
        # Trained already, with the same settings, on the same sessions.
        run = f'model.parts.transformer.run_dir="{self.root / "models" / "transformer.run"}"'
        self._step(
            "train",
            name,
            "--config",
            self._model_config(name),
            "--set",
            f'sessions="{self.root / "sessions"}"',
            "--set",
            f'out="{model}"',
            "--set",
            "replace=true",
            "--set",
            "fresh=true",
            *(("--set", run) if name == "two-stage" else ()),
            "--json",
            self.root / "training" / f"{name}.json",
        )
        return time.monotonic() - begin

    def _title(self, text: str) -> None:
        out.print()
        out.print(Rule(text, align="left"))

    def _step(self, *arguments: object) -> None:
        words = [str(a) for a in arguments]
        out.print(
            "$ session-rec " + " ".join(words),
            style="dim",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )
        process = None
        try:
            with signals_held_back():
                process = subprocess.Popen([sys.executable, "-m", "session_rec.cli", *words])
            code = process.wait()
        except BaseException as e:
            if process is None:
                raise
            # A terminal sends Ctrl-C to the step too, and a second one would disturb it while it
            # cleans up. A signal to us alone (SIGTERM: SystemExit) must reach it as well.
            with suppress(subprocess.TimeoutExpired):
                process.wait(_OWN_END_S if isinstance(e, KeyboardInterrupt) else 0)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait()
            raise
        if code != 0:
            err.print(f"session-rec: the demo stops: 'session-rec {words[0]}' ended with {code}")
            sys.exit(code if code > 0 else 128 - code)

    def _result(self, seconds: dict[str, float]) -> None:
        quality: list[dict[str, Any]] = _read(self.root / "quality.json")
        ceiling = _read(self.root / "ceiling.json")
        live = _read(self.root / "live.json")
        # 80 columns are all that a terminal may have.
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("model", no_wrap=True)
        for name in ("HR@20", "ceiling", "MRR@20", "train s", "ms p50", "ms p99", "events/s"):
            table.add_column(name, justify="right", no_wrap=True)
        best = max(q["metrics"]["hr@20"] for q in quality)
        rows = []
        for q in quality:
            hr, mrr, cost = q["metrics"]["hr@20"], q["metrics"]["mrr@20"], q["cost_ms"]
            row = {
                "model": q["model"],
                "hr20": hr,
                "mrr20": mrr,
                "train_seconds": seconds[q["model"]],
                "single_p50_ms": cost["single_p50"],
                "single_p99_ms": cost["single_p99"],
                "contexts_per_second": 1000 / cost["batch_p50"],
            }
            rows.append(row)
            table.add_row(
                q["model"],
                f"{100 * hr:.2f}",
                f"{100 * hr / ceiling['hr']:.0f} %",
                f"{100 * mrr:.2f}",
                f"{row['train_seconds']:.0f}",
                f"{cost['single_p50']:.2f}",
                f"{cost['single_p99']:.2f}",
                f"{row['contexts_per_second']:,.0f}",
                style="bold" if hr == best else "",
            )
        table.add_section()
        table.add_row(
            "ceiling",
            f"{100 * ceiling['hr']:.2f}",
            "100 %",
            f"{100 * ceiling['mrr']:.2f}",
            *[""] * 4,
        )
        out.print(table)
        protocol = quality[0]["protocol"]
        latency = live["latency_ms"]
        out.print(
            f"Quality: {protocol['questions']:,} positions of {protocol['sessions']:,} held-out "
            "sessions, all items ranked, ties against the model. Latency: one context at a time, "
            "in process; events/s: in batches of 64, one core. two-stage takes the transformer as "
            "trained before. The ceiling ranks by the shop's own probabilities; it knows how bots "
            "walk the listing, which no model is told: bots stay in the held-out sessions, as they "
            "do in a live stream.\n"
            f"Live, through broker and daemon: {live['events']:,} events at {self.rate:g}/s "
            f"offered, click to prediction {latency['p50']:.1f} / {latency['p90']:.1f} / "
            f"{latency['p99']:.1f} ms (p50 / p90 / p99), HR@20 "
            f"{100 * live['metrics']['hr@20']:.2f} of which in time for the next click "
            f"{100 * live['timely_hr@20']:.2f}.",
            highlight=False,
        )
        write_json(self.root / "result.json", {"models": rows, "ceiling": ceiling, "live": live})


def _read(path: Path) -> Any:
    return msgspec.json.decode(path.read_bytes())
