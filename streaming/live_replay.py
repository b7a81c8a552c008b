"""Replays recorded sessions through a broker and a daemon of their own, and times the answers."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from session_rec.errors import UserError
from session_rec.evaluation.replay import Answers
from session_rec.event_log import SessionLog
from session_rec.schedule import Schedule
from streaming.child_process import child_process
from streaming.config import KafkaSettings
from streaming.kafka_clients import client_options, make_admin, make_producer
from streaming.messages import Prediction, decode_prediction
from streaming.player import Progress, play

#: Called with each prediction as it arrives.
OnPrediction = Callable[[Prediction], None]

_START_S = 60.0  #: for the daemon to be assigned its partitions, on a busy machine
_ORPHAN_S = 8.0  #: for the daemon to end when this process has ended
_QUIET_S = 20.0  #: without another prediction, no more are expected


@contextmanager
def embedded_broker_process() -> Iterator[str]:
    """Runs the embedded broker as a process of its own; yields ``host:port``."""
    command = [sys.executable, "-m", "streaming.embedded_broker", "--port", "0", "--with-parent"]
    with child_process(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "ready on" not in line:
            raise RuntimeError("the embedded broker did not start")
        yield line.split()[-1]


def replay_through_kafka(
    model: Path,
    log: SessionLog,
    plan: Schedule,
    kafka: KafkaSettings,
    *,
    k: int = 20,
    partitions: int = 4,
    settings: tuple[str, ...] = (),
    daemon_prefix: tuple[str, ...] = (),
    progress: Progress | None = None,
    on_prediction: OnPrediction | None = None,
    before_stop: Callable[[int], None] | None = None,
) -> Answers:
    """Plays ``log`` into topics made for the purpose, served by a daemon made for the purpose.

    Latency counts from the time an event was due until its prediction was read back.

    Args:
        settings: further ``key=value`` settings of the daemon.
        daemon_prefix: a command to run the daemon under, such as ``taskset -c 1``.
        before_stop: called with the daemon's pid when all is answered and it still runs.

    Raises:
        UserError: the cluster cannot be used, or the daemon refused its settings.
    """
    token = uuid.uuid4().hex[:8]
    topics = {t: f"session-rec-replay-{token}-{t}" for t in ("events", "predictions", "dead")}
    answers = Answers.empty(len(log))
    with ExitStack() as stack:
        admin = make_admin(kafka)
        stack.callback(admin.close)
        keep = {"retention.ms": "-1", "cleanup.policy": "delete"}
        admin.create_topics(
            [NewTopic(t, partitions, 1, topic_configs=keep) for t in topics.values()]
        )
        stack.callback(_delete_topics, admin, list(topics.values()))
        daemon_log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "daemon.log"
        command = _daemon_command(model, topics, kafka, k, settings, daemon_prefix)
        with daemon_log.open("wb") as stderr:
            daemon = stack.enter_context(child_process(command, stderr=stderr))
        _wait_until_assigned(daemon, daemon_log, partitions)
        collector = _Collector(kafka, topics["predictions"], partitions, on_prediction)
        stack.callback(collector.close)
        producer = make_producer(kafka)
        stack.callback(producer.close, timeout=5)
        played = play(log, producer, topics["events"], plan, progress=progress)
        collector.wait_for(len(played.ids))
        if daemon.poll() is not None:
            raise UserError(f"the daemon ended: {_last_line(daemon_log)}")
        if before_stop is not None:
            before_stop(daemon.pid)
        for p, due, event in zip(played.order.tolist(), played.scheduled, played.ids, strict=True):
            if event in collector.received:
                at, prediction = collector.received[event]
                answers.slates[p] = prediction.items
                answers.scores[p] = np.array(prediction.scores, np.float32)
                answers.latency[p] = at - due
        last = max((at for at, _ in collector.received.values()), default=played.scheduled[0])
        answers.seconds = float(last - played.scheduled[0])
    return answers


class _Collector:
    """Reads predictions in a thread of its own; keeps the first of each id."""

    def __init__(
        self, kafka: KafkaSettings, topic: str, partitions: int, on_prediction: OnPrediction | None
    ) -> None:
        self.received: dict[str, tuple[float, Prediction]] = {}
        self._on_prediction = on_prediction
        self._consumer = KafkaConsumer(
            **client_options(kafka),
            enable_auto_commit=False,
            fetch_min_bytes=1,
            isolation_level="read_committed",
        )
        self._consumer.assign([TopicPartition(topic, p) for p in range(partitions)])
        self._consumer.seek_to_beginning()
        self._stopped = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stopped:
            records = self._consumer.poll(timeout_ms=100)
            now = time.time()
            for batch in records.values():
                for record in batch:
                    prediction = decode_prediction(record.value)
                    if prediction.id not in self.received:
                        self.received[prediction.id] = (now, prediction)
                        if self._on_prediction:
                            self._on_prediction(prediction)

    def wait_for(self, count: int) -> None:
        seen, quiet_since = -1, time.monotonic()
        while len(self.received) < count and time.monotonic() - quiet_since < _QUIET_S:
            if len(self.received) != seen:
                seen, quiet_since = len(self.received), time.monotonic()
            time.sleep(0.02)

    def close(self) -> None:
        self._stopped = True
        self._thread.join(timeout=10)
        self._consumer.close()


def _daemon_command(
    model: Path,
    topics: dict[str, str],
    kafka: KafkaSettings,
    k: int,
    settings: tuple[str, ...],
    prefix: tuple[str, ...],
) -> list[str]:
    values = [
        f'model="{model}"', f"k={k}", 'start="earliest"', "http=false",
        # Where we end without a word, so does the broker: nothing can be committed any more.
        f"shutdown_timeout_s={_ORPHAN_S}",
        f'group_id="{topics["events"]}"', f'topics.events="{topics["events"]}"',
        f'topics.predictions="{topics["predictions"]}"', f'topics.dead_letters="{topics["dead"]}"',
        *_kafka_overrides(kafka), *settings,
    ]  # fmt: skip
    command = [*prefix, sys.executable, "-m", "session_rec.cli", "stream", "--with-parent"]
    for value in values:
        command += ["--set", value]
    return command


def _kafka_overrides(kafka: KafkaSettings) -> list[str]:
    out = [f'kafka.bootstrap_servers="{",".join(kafka.bootstrap_servers)}"']
    changed = kafka.model_dump(mode="json", exclude_defaults=True, exclude={"bootstrap_servers"})
    for name, value in changed.items():
        text = f'"{value}"' if isinstance(value, str) else str(value).lower()
        out.append(f"kafka.{name}={text}")
    return out


def _wait_until_assigned(daemon: subprocess.Popen[bytes], log: Path, partitions: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if daemon.poll() is not None:
            raise UserError(_last_line(log).removeprefix("session-rec: "))
        if log.read_text(errors="replace").count("emitting from offset") >= partitions:
            return
        time.sleep(0.05)
    raise UserError(f"the daemon was not ready after {_START_S:.0f} s: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _delete_topics(admin: KafkaAdminClient, topics: list[str]) -> None:
    # Whatever ended the replay, a cluster that is gone among it, is what the user must see.
    with suppress(KafkaError):
        admin.delete_topics(topics)
