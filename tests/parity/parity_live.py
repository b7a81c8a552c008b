"""The live rows through a broker and daemons that are stopped and killed on the way."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from broker_fixtures import Broker
from daemon_process import DaemonProcess
from parity_rows import Row
from parity_shop import LATENESS_MS
from stream_support import Raw, Stage, accounted

PATIENCE_S = 120  # for a share to be served, on a busy machine


@dataclass
class Life:
    """One daemon from its start to its end.

    Attributes:
        begins: where each partition began to emit.
        rebuilt: records read again before that.
        accounts: where its records went; None if it was killed.
        metrics: as they stood when all was committed; the last daemon's only.
    """

    begins: dict[int, int]
    rebuilt: int
    accounts: dict[str, int] | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class Live:
    """What a run left behind.

    Attributes:
        records: the events topic, each partition in offset order.
        predictions: the first of each id, without its time of emission.
        repeated: predictions that came again after a kill.
        lives: the daemons, in the order of time.
    """

    topic: str
    records: list[Any]
    predictions: dict[str, Any]
    repeated: int
    lives: list[Life]


def as_record(row: Row) -> Raw:
    """Key, value and timestamp of the record of a row."""
    event = {"session_id": row.session, "item_id": row.item, "ts": row.ts, "type": row.type}
    return row.session.encode(), json.dumps(event).encode(), row.arrived


def stream(
    broker: Broker,
    model: Path,
    rows: Sequence[Row],
    ends: Sequence[str],
    partitions: int,
    **more: Any,
) -> Live:
    """Plays ``rows`` to one daemon after the other, a word of ``ends`` for each: ``term`` and
    ``kill`` end it in the midst of its share of them, the last one ``stops`` when all is done."""
    stage = Stage(broker, model, partitions)
    records = [as_record(row) for row in rows]
    settings = {
        "k": 20, "allowed_lateness_s": LATENESS_MS / 1000, "max_future_skew_s": 60,
        "max_poll_records": 100, **more,
    }  # fmt: skip
    lives = []
    share = -(-len(records) // len(ends))
    for n, end in enumerate(ends):
        with stage.daemon(**settings) as daemon:
            daemon.wait_log(f"(?s)(emitting from offset.*?){{{partitions}}}")
            # While it serves, so that all partitions move on and none is read to its end first.
            half = n * share + share // 2
            stage.produce(records[n * share : half])
            stage.wait_committed(min(half, len(records)), timeout_s=PATIENCE_S)
            stage.produce(records[half : (n + 1) * share])
            if end == "stop":
                stage.wait_committed(len(records), timeout_s=PATIENCE_S)
                metrics = daemon.metrics()
                assert daemon.stop() == 0, daemon.log
                life = _life(daemon, partitions)
                assert accounted(metrics) == life.accounts
                life.metrics = metrics
            else:
                if end == "term":
                    assert daemon.stop() == 0, daemon.log
                else:
                    daemon.kill()
                assert half <= stage.committed() < (n + 1) * share, "it had nothing left to do"
                life = _life(daemon, partitions)
            lives.append(life)
    slates = stage.slates()
    repeated = len(stage.read(stage.predictions)) - len(slates)
    return Live(stage.events, stage.read(stage.events), slates, repeated, lives)


def _life(daemon: DaemonProcess, partitions: int) -> Life:
    found = re.findall(r"partition (\d+): emitting from offset (\d+), .* from (\d+)", daemon.log)
    begins = {int(p): int(begin) for p, begin, _ in found}
    assert len(found) == len(begins) == partitions, daemon.log
    rebuilt = sum(int(begin) - int(read) for _, begin, read in found)
    stopped = re.search(r"stopped after \d+ records: (\{.*?\})", daemon.log)
    return Life(begins, rebuilt, ast.literal_eval(stopped.group(1)) if stopped else None)


def score_bytes(scores: Sequence[float]) -> bytes:
    """The float32 bits behind the numbers of a message, none of which may be anything else."""
    single = np.array(scores, np.float32)
    assert single.astype(float).tolist() == list(scores), "a score is no float32"
    return single.tobytes()
