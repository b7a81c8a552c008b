# ruff: noqa: E402
"""Kills a daemon that holds 100,000 live sessions and times it until it predicts again.

    python benchmarks/restart.py --bootstrap-servers 127.0.0.1:9092

SIGKILL, and at once a new process with the same settings, while events go on coming. Counted is
from the kill to the first prediction made by the new process that a reader gets, to the moment when
every partition had one, and what the new process used of the CPU until then. Four ways: as a static
member of its group (``group_instance_id``) or a dynamic one, whose place must first time out; with
local snapshots of the state (``state_dir``) or by reading the sessions' events again.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Annotated, Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import typer
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.scripts import run
from session_rec.bundle import save_bundle
from session_rec.catalog import Catalog
from session_rec.console import err, out, write_json
from session_rec.errors import UserError
from session_rec.predictors.popularity import Popularity
from session_rec.sessions import SessionRules
from streaming.child_process import child_process
from streaming.config import KafkaSettings
from streaming.kafka_clients import make_admin
from streaming.live_replay import embedded_broker_process
from streaming.logs import set_up_logging

_ITEMS = 1000
_SPAN_S = 600.0  #: of event time over which the sessions click: all of them stay live
_PER_SECOND = 100.0  #: events while it is measured
_SNAPSHOT_S = 3.0
_PATIENCE_S = 300.0


class Shop:
    """Topics with the events of many live sessions, and a load that goes on.

    Args:
        servers: of the cluster.
        sessions, events: live sessions, and clicks of each.
        partitions: of the events topic.
    """

    def __init__(self, servers: str, sessions: int, events: int, partitions: int) -> None:
        self.servers, self.sessions, self.partitions = servers, sessions, partitions
        stem = f"restart-{uuid.uuid4().hex[:8]}"
        self.topics = {name: f"{stem}-{name}" for name in ("events", "predictions", "dead_letters")}
        self._random = random.Random(1)
        self._producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5)
        admin = make_admin(KafkaSettings.model_validate({"bootstrap_servers": servers}))
        admin.create_topics(
            [
                NewTopic(name, partitions, 1, topic_configs={"retention.ms": "-1"})
                for name in self.topics.values()
            ]
        )
        admin.close()
        now = time.time() * 1000
        total = sessions * events
        for n in range(total):
            self._click(n % sessions, round(now - 1000 * _SPAN_S * (1 - n / total)))
        self._producer.flush()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def begin(self) -> None:
        """From now on sessions click at a steady rate."""
        self._thread.start()

    def close(self) -> None:
        """Ends the load."""
        self._ending.set()
        self._thread.join()
        self._producer.close(timeout=5)

    def _go_on(self) -> None:
        while not self._ending.wait(1 / _PER_SECOND):
            self._click(self._random.randrange(self.sessions), round(time.time() * 1000))

    def _click(self, session: int, ts: int) -> None:
        name = f"session-{session:06d}"
        item = f"item-{self._random.randrange(_ITEMS)}"
        event = json.dumps({"session_id": name, "item_id": item, "ts": ts}).encode()
        self._producer.send(self.topics["events"], key=name.encode(), value=event, timestamp_ms=ts)


class Reader:
    """Reads predictions as they come.

    Attributes:
        seen: partition of the events topic -> when its first prediction was read that was made
            since the last :meth:`reset`, seconds since the epoch.
    """

    def __init__(self, shop: Shop) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=shop.servers, isolation_level="read_committed"
        )
        topic = shop.topics["predictions"]
        self._consumer.assign([TopicPartition(topic, p) for p in range(shop.partitions)])
        self._consumer.seek_to_end()
        self._partitions = shop.partitions
        self.seen: dict[int, float] = {}
        self._since_ms = 0.0

    def reset(self) -> None:
        """Forgets what was seen; what was made before now does not count any more."""
        self._since_ms = time.time() * 1000
        self.seen = {}

    def wait(self) -> None:
        """Returns once every partition has a prediction."""
        deadline = time.monotonic() + _PATIENCE_S
        while len(self.seen) < self._partitions:
            if time.monotonic() > deadline:
                raise UserError(f"no predictions of all partitions within {_PATIENCE_S:g} s")
            for records in self._consumer.poll(timeout_ms=20).values():
                for record in records:
                    message = json.loads(record.value)
                    if message["emitted_at"] >= self._since_ms:
                        partition = int(message["id"].rsplit("-", 2)[1])
                        self.seen.setdefault(partition, time.time())

    def close(self) -> None:
        """Closes the connection."""
        self._consumer.close()


def measure(
    shop: Shop, model: Path, scratch: Path, static: bool, snapshots: bool, runs: int
) -> list[tuple[float, float, float]]:
    """Seconds from a kill to the first prediction and to one of every partition, and CPU seconds of
    the new process; of each run."""
    group = f"restart-{uuid.uuid4().hex[:8]}"
    settings: dict[str, Any] = {
        "model": str(model),
        "kafka.bootstrap_servers": shop.servers,
        **{f"topics.{name}": topic for name, topic in shop.topics.items()},
        "group_id": group,
        "start": "latest",
        "http": False,
        "log_level": "WARNING",
    }
    if static:
        settings["group_instance_id"] = "one"
    state = scratch / group
    if snapshots:
        settings |= {"state_dir": str(state), "snapshot_interval_s": _SNAPSHOT_S}
    command = [sys.executable, "-m", "session_rec.cli", "stream"]
    for name, value in settings.items():
        command += ["--set", f"{name}={json.dumps(value)}"]
    reader = Reader(shop)
    found = []
    killed = 0.0
    try:
        for number in range(runs + 1):
            reader.reset()
            with child_process(command, stdout=subprocess.DEVNULL) as process:
                reader.wait()
                if number:  # the first start is that of a group without commits
                    seen = reader.seen.values()
                    cpu = _cpu_seconds(process.pid)
                    found.append((min(seen) - killed, max(seen) - killed, cpu))
                    err.print(f"  {found[-1][0]:.1f} s, {found[-1][1]:.1f} s")
                # Long enough for a snapshot, and for commits behind it.
                time.sleep(2.5 * _SNAPSHOT_S)
                if snapshots:
                    _wait_for_snapshots(state, shop.partitions)
                killed = time.time()
                process.kill()
                process.wait()
    finally:
        reader.close()
    return found


def _wait_for_snapshots(state: Path, partitions: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while len(list(state.glob("*.state"))) < partitions:
        if time.monotonic() > deadline:
            raise UserError(f"no snapshots of all partitions within {_PATIENCE_S:g} s")
        time.sleep(0.1)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def restart(
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="host:port,… [default: the embedded broker]")
    ] = None,
    sessions: Annotated[int, typer.Option(min=1, help="Live sessions.")] = 100_000,
    events: Annotated[int, typer.Option(min=1, help="Clicks of each.")] = 5,
    partitions: Annotated[int, typer.Option(min=1)] = 4,
    runs: Annotated[int, typer.Option(min=1, help="Kills of each way.")] = 3,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write it here.")] = None,
) -> None:
    """Measure the seconds from a SIGKILL to the next prediction, with many live sessions."""
    set_up_logging("ERROR")
    broker = nullcontext(bootstrap_servers) if bootstrap_servers else embedded_broker_process()
    results: dict[str, list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as name, broker as servers:
        scratch = Path(name)
        items = tuple(f"item-{n}" for n in range(_ITEMS))
        counts = np.ones(_ITEMS, np.int64)
        save_bundle(
            scratch / "model",
            Catalog(items, counts),
            Popularity(counts.astype(np.float32)),
            SessionRules(),
            data_fingerprint="none: only the daemon is measured",
        )
        err.print(f"producing {sessions * events:,} events")
        shop = Shop(servers or "", sessions, events, partitions)
        shop.begin()
        try:
            for static in (True, False):
                for snapshots in (True, False):
                    way = ("static" if static else "dynamic") + (", snapshots" * snapshots)
                    err.print(f"measuring: {way}")
                    results[way] = measure(
                        shop, scratch / "model", scratch, static, snapshots, runs
                    )
        finally:
            shop.close()
    table = Table(
        title="seconds from SIGKILL to predictions",
        caption=(
            f"{sessions:,} live sessions of {events} events, {partitions} partitions, "
            f"{'embedded broker' if bootstrap_servers is None else 'broker at ' + str(servers)}, "
            f"session timeout of the group 10 s. Median of {runs} kills (least to most); a load "
            f"average of {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores at the end."
        ),
        box=SIMPLE_HEAD,
    )
    for column in ("membership", "the first", "of every partition", "CPU s"):
        table.add_column(column, justify="left" if column == "membership" else "right")
    for way, times in results.items():
        cells = []
        for column in zip(*times, strict=True):
            low, high = min(column), max(column)
            cells.append(f"{median(column):.1f} ({low:.1f} to {high:.1f})")
        table.add_row(way, *cells)
    out.print(table)
    if json_out:
        write_json(json_out, results)


if __name__ == "__main__":
    run(restart)
