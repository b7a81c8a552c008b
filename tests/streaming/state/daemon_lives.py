"""The real daemon on Kafka in memory: processes that start, fail, are killed and start again, and
after every round of theirs all that DESIGN promises is looked for."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec
from boundary_events import Draft
from kafka import TopicPartition
from memory_kafka import DEAD, EVENTS, PREDICTIONS, Cluster, Consumer, Fault, Killed, Producer
from naive_stream import NaiveStream, Semantics
from one_partition import check_live
from toy_model import K, recommender, slate

from session_rec.recommender import Recommender
from streaming.config import RulesSettings, StreamConfig, Topics
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.daemon import Daemon
from streaming.delivery import DeliveryError
from streaming.snapshots import read

PARTITIONS = 2
_model = functools.lru_cache(recommender)

#: Memory, where there is one: the daemons make many files durable.
SHM = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


class AtOnce:
    """A thread that has ended when it has begun, so that a run can be had again."""

    def __init__(self, target: Any, daemon: bool) -> None:
        self.start = target

    def join(self) -> None:
        pass

    def is_alive(self) -> bool:
        return False


class Shop:
    """A cluster, the daemons on it, and the naive streams that say what must come out.

    With ``snapshots`` each daemon has a directory that outlives it.
    """

    def __init__(self, how: Semantics, checkpoint_every: int, snapshots: bool = False) -> None:
        self.disk: tempfile.TemporaryDirectory[str] | None = None
        kept: dict[str, Any] = {}
        if snapshots:
            self.disk = tempfile.TemporaryDirectory(dir=SHM)
            kept["audit_log"] = Path(self.disk.name) / "audit.jsonl"
            kept["audit_key_env"] = "SHOP_AUDIT_KEY"
            kept["snapshot_interval_s"] = 0.1
        self.how = how
        self.cluster = Cluster(PARTITIONS)
        self.streams = {tp: NaiveStream(how) for tp in self.cluster.tps}
        self.daemons: dict[object, Daemon] = {}
        self.consumers: dict[object, Consumer] = {}
        self.tallies: dict[object, Counter[str]] = {}
        self.predictions: dict[str, dict[str, Any]] = {}
        self.letters: set[tuple[int, int]] = set()
        self._checked = 0
        self.snapshots_seen = 0
        self._clock = itertools.count(1)
        self._settings = functools.partial(ContextSettings, checkpoint_every=checkpoint_every)
        rules = RulesSettings(
            name=how.name,  # type: ignore[arg-type]
            max_length=how.max_length,
            inactivity_s=how.inactivity / 1000,
            horizon_s=how.horizon / 1000,
        )
        self.config = StreamConfig(
            model="toy",  # type: ignore[arg-type]
            topics=Topics(events=EVENTS, predictions=PREDICTIONS, dead_letters=DEAD),
            start="earliest",
            rules=rules,
            k=K,
            micro_batch=3,
            allowed_lateness_s=how.lateness / 1000,
            max_future_skew_s="off" if how.skew is None else how.skew / 1000,
            pairs_idle_s=how.idle / 1000,
            bot_span_s=how.bot_span / 1000,
            delivery_timeout_s=3,
            http=False,
            **kept,
        )

    def append(self, draft: Draft, partition: int) -> None:
        """A producer adds a record to the events topic; what must become of it is known now."""
        tp = TopicPartition(EVENTS, partition)
        log, offset = self.cluster.events[tp], self.cluster.ends[tp]
        log.append(draft.record(self.streams[tp], partition, offset, log))
        self.streams[tp].take(log[-1])
        self.cluster.ends[tp] = offset + 1

    def hole(self, partition: int) -> None:
        """A transaction of a producer ends: an offset that no reader ever gets."""
        self.cluster.ends[TopicPartition(EVENTS, partition)] += 1

    def start(self, name: object) -> None:
        with self._patched(name):
            consumer = self.consumers[name] = Consumer(self.cluster, name)
            self.tallies[name] = Counter()
            config = self.config
            if self.disk is not None:
                own = Path(self.disk.name) / str(name)
                config = config.model_copy(update={"state_dir": own})
            daemon = Daemon(config)
            # The first two lines of run(); its loop is driven round by round here.
            daemon._positions.first_commit()
            consumer.subscribe([EVENTS], listener=daemon._assignment)
        self.daemons[name] = daemon

    def round(self, name: object, size: int, fault: Fault, stale: bool = False) -> None:
        """One round of a daemon's loop, begun anew if it is down; checks what it left behind."""
        if name not in self.daemons:
            self.start(name)
        daemon, consumer = self.daemons[name], self.consumers[name]
        consumer.max_records, consumer.fault, consumer.stale = size, fault, stale
        consumer.handed = []
        began = len(self.cluster.produced)
        try:
            with self._patched(name):
                daemon._round()
        except (Killed, DeliveryError):
            self.kill(name)
        self._same_bytes(self.cluster.produced[began:])
        self.check()
        if name in self.daemons:
            self._check_account(daemon, consumer)
            self._check_contexts(daemon, consumer)

    def stop(self, name: object) -> None:
        """SIGTERM: what was taken is committed."""
        daemon = self.daemons.get(name)
        if daemon is None:
            return
        self.consumers[name].fault, self.consumers[name].stale = Fault("over"), False
        with self._patched(name):
            daemon._drain()
        for tp, partition in daemon._partitions.items():
            assert partition.contexts.next_offset <= self.cluster.commits[tp].offset
        self.kill(name)
        self.check()

    def kill(self, name: object) -> None:
        daemon = self.daemons.pop(name, None)
        store = None if daemon is None else daemon._state._snapshots
        if store is not None:  # what the system closes; what is half written stays there
            store._directory.close()
            if store._writing is not None:
                store._writing.writer._file.close()

    def finish(self) -> None:
        """Everything is read by one last daemon, without faults: then nothing may be missing."""
        for name in list(self.daemons):
            self.stop(name)
        self.cluster.owner = dict.fromkeys(self.cluster.tps, "last")
        log = self.cluster.events
        for _ in range(500):
            self.round("last", 7, Fault("over"))
            held = self.daemons["last"]._partitions
            if all(
                tp in held and (not rs or held[tp].contexts.next_offset > rs[-1].offset)
                for tp, rs in log.items()
            ):
                break
        for tp, records in log.items():
            assert not records or self.cluster.commits[tp].offset == records[-1].offset + 1
        last = self.daemons["last"]
        for tp, partition in last._partitions.items():
            whole = PartitionContexts(last._settings, 0)
            uninterrupted = type(partition)(partition.name, whole, 0, 0)
            last.pipeline.take(uninterrupted, log[tp])
            assert partition.contexts.snapshot() == whole.snapshot()

    def check(self) -> None:
        """Every output is the right one, and none is missing behind a commit."""
        for _, topic, key, value, headers in self.cluster.produced[self._checked :]:
            if topic == DEAD:
                self._check_letter(key, value, dict(headers))
            else:
                self._check_prediction(key, msgspec.json.decode(value))
        self._checked = len(self.cluster.produced)
        self._check_erasures()
        for tp, entry in self.cluster.commits.items():
            for offset, verdict in self.streams[tp].verdicts.items():
                if offset >= entry.offset:
                    break
                if verdict.fate == "emitted":
                    assert f"{EVENTS}-{tp.partition}-{offset}" in self.predictions, "lost"
                elif verdict.fate == "dead_lettered":
                    assert (tp.partition, offset) in self.letters, "lost"

    def _check_erasures(self) -> None:
        """What is committed is recorded, and on no disk of whose it is."""
        if self.disk is None or not self.config.audit_log.exists():  # type: ignore[union-attr]
            return
        lines = self.config.audit_log.read_text().splitlines()  # type: ignore[union-attr]
        recorded = {(e["partition"], e["offset"]) for e in map(json.loads, lines)}
        erased: dict[TopicPartition, dict[str, int]] = {}
        for tp, entry in self.cluster.commits.items():
            erased[tp] = {}
            for record in self.cluster.events[tp]:
                if record.offset < entry.offset and record.value is None and record.key:
                    erased[tp][record.key.decode()] = record.offset
                    assert (tp.partition, record.offset) in recorded
        for name, daemon in self.daemons.items():
            for tp in daemon._partitions:
                path = Path(self.disk.name) / str(name) / f"{EVENTS}-{tp.partition}.state"
                if path.exists() and not daemon._partitions[tp].rebuilding:
                    self.snapshots_seen += 1
                    for session in read(path, daemon._settings.rules)[1]:
                        assert session.last_offset > erased[tp].get(session.session_id, -1)

    def _check_prediction(self, key: bytes, message: dict[str, Any]) -> None:
        partition, offset = (int(n) for n in message["id"].split("-")[1:])
        verdict = self.streams[TopicPartition(EVENTS, partition)].verdicts[offset]
        assert verdict.fate == "emitted"
        assert key == verdict.session.encode()
        assert message.pop("emitted_at") > 0
        assert message == {
            "schema_version": 1,
            "id": f"{EVENTS}-{partition}-{offset}",
            "session_id": verdict.session,
            "ts": verdict.ts,
            "in_order": verdict.in_order,
            **slate(verdict.context),
        }
        self.predictions[message["id"]] = message

    def _check_letter(self, key: Any, value: Any, headers: dict[str, bytes]) -> None:
        partition = int(headers["session-rec.partition"])
        offset = int(headers["session-rec.offset"])
        tp = TopicPartition(EVENTS, partition)
        assert self.streams[tp].verdicts[offset].fate == "dead_lettered"
        (record,) = (r for r in self.cluster.events[tp] if r.offset == offset)
        # A letter that had neither would be a tombstone of nobody.
        nothing = record.key is None and record.value is None
        assert (key, value) == (record.key, b"" if nothing else record.value)
        self.letters.add((partition, offset))

    def _same_bytes(self, produced: list[Any]) -> None:
        """What was sent again within a round was not made again."""
        sent: dict[Any, bytes] = {}
        for consumer, topic, _, value, headers in produced:
            name = (
                msgspec.json.decode(value)["id"]
                if topic == PREDICTIONS
                else tuple(h for h in headers if h[0].endswith(("partition", "offset")))
            )
            assert sent.setdefault((consumer.name, topic, name), value) == value

    def _check_account(self, daemon: Daemon, consumer: Consumer) -> None:
        tally = self.tallies[consumer.name]
        for r in consumer.handed:
            tp = TopicPartition(EVENTS, r.partition)
            if r.offset >= consumer.begun[tp]:
                tally["consumed"] += 1
                tally[self.streams[tp].verdicts[r.offset].fate] += 1
        accounts = daemon.pipeline.accounts
        assert accounts.consumed == accounts.accounted
        assert +Counter(asdict(accounts)) == tally

    def _check_contexts(self, daemon: Daemon, consumer: Consumer) -> None:
        for tp, partition in daemon._partitions.items():
            assert tp in consumer.assignment()
            if not partition.rebuilding:
                check_live(partition.contexts, self.streams[tp], self.cluster.events[tp])

    @contextlib.contextmanager
    def _patched(self, name: object) -> Iterator[None]:
        """The daemon's edges: its clients are those of this cluster, its clock is counted."""
        clock = SimpleNamespace(
            time=lambda: next(self._clock),
            time_ns=lambda: next(self._clock) * 1_000_000,
            monotonic=lambda: next(self._clock) / 10,
            perf_counter=lambda: 0.0,
            sleep=lambda seconds: None,
        )
        producer = lambda *_, **__: Producer(self.cluster, self.consumers[name])  # noqa: E731
        with contextlib.ExitStack() as stack:
            for target, replacement in {
                "streaming.daemon.check_cluster": lambda *_: 10_000,
                "streaming.daemon.make_consumer": lambda config: self.consumers[name],
                "streaming.delivery.make_producer": producer,
                "streaming.config.ContextSettings": self._settings,
                "streaming.daemon.time": clock,
                "streaming.delivery.time": clock,
                "streaming.snapshot_store.time": clock,
                "streaming.snapshot_store.STEP_S": 0,
                "streaming.snapshot_store.log": mock.Mock(),
                "streaming.state_store.log": mock.Mock(),
                "streaming.snapshot_writer.threading": SimpleNamespace(Thread=AtOnce),
                "streaming.pipeline.time": clock,
                "streaming.daemon.log": mock.Mock(),
                "streaming.delivery.log": mock.Mock(),
                "streaming.positions.log": mock.Mock(),
            }.items():
                stack.enter_context(mock.patch(target, replacement))
            stack.enter_context(mock.patch.dict(os.environ, SHOP_AUDIT_KEY="k" * 16))
            load = mock.Mock(return_value=_model(self.how))
            stack.enter_context(mock.patch.object(Recommender, "load", load))
            yield
