"""A toy model, topics with a daemon between them, and what its predictions must be."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from broker_fixtures import Broker, unique
from daemon_process import DaemonProcess
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import RetriableError

from session_rec.bundle import save_bundle
from session_rec.catalog import Catalog
from session_rec.predictors.sequential_rules import SequentialRules, SequentialRulesConfig
from session_rec.ragged import Ragged
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules

RULES = SessionRules(max_length=5, inactivity_ms=60_000, horizon_ms=150_000)
LATENESS_MS = 20_000
K = 4

Raw = tuple[bytes | None, bytes | None, int]


def toy_bundle(directory: Path, seed: int = 3) -> Path:
    """A model of 12 items whose slates depend on all items of a context and on their order."""
    rng = np.random.default_rng(seed)
    items = [f"i{n:02d}" for n in range(12)]
    sessions = Ragged.from_lists([rng.integers(0, 12, 8).tolist() for _ in range(60)])
    counts = np.bincount(sessions.rows, minlength=12)
    catalog = Catalog(tuple(items), counts.astype(np.int64))
    predictor = SequentialRules.fit(
        sessions, len(items), config=SequentialRulesConfig(newest_n=5, decay=0.7)
    )
    save_bundle(directory, catalog, predictor, RULES, data_fingerprint="toy")
    return directory


def toy_events(seed: int, sessions: int = 12, events: int = 300) -> list[Raw]:
    """Key, value and timestamp of click events: interleaved sessions, some of them resumed after
    a pause, with late and out-of-order events, duplicates and unknown items among them."""
    rng = random.Random(seed)
    now = 1_700_000_000_000
    out: list[Raw] = []
    for _ in range(events):
        now += rng.choice([0, 500, 2_000, 5_000, 5_000, 30_000])
        session = f"s{rng.randrange(sessions)}"
        ts = now - rng.choice([0] * 8 + [3_000, 15_000, 25_000])
        item = f"i{rng.randrange(12):02d}" if rng.random() < 0.95 else "unheard-of"
        out.append(click(session, item, ts, now))
        if rng.random() < 0.04:
            out.append(out[-1])
        if rng.random() < 0.02:
            out.append((session.encode(), None, now))
    return out


def click(session: str, item: str, ts: int, now: int | None = None) -> Raw:
    """An event whose record timestamp is ``now``, else its ``ts``."""
    value = json.dumps({"session_id": session, "item_id": item, "ts": ts}).encode()
    return session.encode(), value, ts if now is None else now


@dataclass
class Stage:
    """Topics of one test on one broker, and the settings of a daemon between them."""

    broker: Broker
    model: Path
    partitions: int = 2
    dead_letter_configs: dict[str, str] = field(default_factory=dict)
    events: str = ""
    predictions: str = ""
    dead_letters: str = ""
    group: str = field(default_factory=lambda: unique("group"))
    _running: list[DaemonProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        # The toy events are old: a topic with the usual retention would soon delete them.
        keep = {"retention.ms": "-1"}
        self.events = self.events or self.broker.topic(self.partitions, keep, prefix="events")
        self.fresh_outputs()

    def fresh_outputs(self) -> None:
        """New topics to write to, for another daemon on the same events."""
        self.predictions = self.broker.topic(2, prefix="predictions")
        self.dead_letters = self.broker.topic(1, self.dead_letter_configs, prefix="dead")
        self.group = unique("group")

    def settings(self, **more: Any) -> list[str]:
        values: dict[str, Any] = {
            "model": str(self.model),
            "kafka.bootstrap_servers": self.broker.bootstrap_servers,
            "kafka.session_timeout_s": 6,
            "topics.events": self.events,
            "topics.predictions": self.predictions,
            "topics.dead_letters": self.dead_letters,
            "group_id": self.group,
            "group_instance_id": "one",
            "start": "earliest",
            "k": K,
            "allowed_lateness_s": LATENESS_MS / 1000,
            "max_future_skew_s": 10,
            "http_port": 0,
        } | more
        return [f"{key}={json.dumps(value)}" for key, value in values.items() if value is not None]

    def produce(
        self, events: Sequence[Raw], headers: list[tuple[str, bytes]] | None = None
    ) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self.broker.bootstrap_servers, **self.broker.security
        )
        for key, value, timestamp in events:
            producer.send(
                self.events,
                key=key,
                value=value,
                timestamp_ms=timestamp,
                partition=None if key is not None else 0,
                headers=headers,
            )
        producer.flush()
        producer.close()

    def read(self, topic: str) -> list[Any]:
        """Everything in ``topic``, each partition in offset order."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.broker.bootstrap_servers,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            **self.broker.security,
        )
        try:
            tps = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
            consumer.assign(tps)
            consumer.seek_to_beginning()
            ends = consumer.end_offsets(tps)
            records: list[Any] = []
            while any(consumer.position(tp) < ends[tp] for tp in tps):
                for batch in consumer.poll(timeout_ms=200).values():
                    records += batch
            return sorted(records, key=lambda r: (r.partition, r.offset))
        finally:
            consumer.close()

    def slates(self) -> dict[str, Any]:
        """The first prediction of each id, without what depends on the wall clock."""
        found: dict[str, Any] = {}
        for record in self.read(self.predictions):
            message = json.loads(record.value)
            assert message.pop("emitted_at") > 0
            assert record.key == message["session_id"].encode()
            if message["id"] in found:
                assert found[message["id"]] == message
            found.setdefault(message["id"], message)
        return found

    def committed(self) -> int:
        """The sum of the group's committed offsets."""
        try:
            offsets = self.broker.admin.list_group_offsets(self.group)
        except RetriableError:  # the group's coordinator on a cluster just made
            return 0
        return sum(o.offset for group in offsets.values() for o in group.values()) if offsets else 0

    def wait_committed(self, count: int, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while (now := self.committed()) < count:
            assert time.monotonic() < deadline, f"{now} of {count} committed after {timeout_s} s"
            assert any(p.popen.poll() is None for p in self._running), "the daemon ended"
            time.sleep(0.05)

    @contextlib.contextmanager
    def daemon(self, env: dict[str, str] | None = None, **more: Any) -> Iterator[DaemonProcess]:
        process = DaemonProcess(self.settings(**more), env)
        self._running.append(process)
        try:
            yield process
        except BaseException:
            print(process.log)
            raise
        finally:
            self._running.remove(process)
            process.end()


def accounted(metrics: dict[str, float]) -> dict[str, int]:
    """The terms of the identity, after checking that they add up."""
    terms = {
        name[len('session_rec_records_total{fate="') : -2]: int(value)
        for name, value in metrics.items()
        if name.startswith("session_rec_records_total{")
    }
    assert sum(terms.values()) == metrics["session_rec_records_consumed_total"]
    return terms


def expected_slates(records: Sequence[Any], model: Path, **more: Any) -> dict[str, Any]:
    """What must be predicted for these records of the events topic, by prefixes cut here."""
    recommender = Recommender.load(model)
    out: dict[str, Any] = {}
    for partition in {r.partition for r in records}:
        kept: dict[str, list[tuple[int, int, str]]] = {}
        stream_time = 0
        for r in (r for r in records if r.partition == partition):
            if r.value is None:
                kept.pop(r.key.decode(), None)
                continue
            try:
                message = json.loads(r.value)
                session, item, ts = message["session_id"], message["item_id"], message["ts"]
            except (ValueError, KeyError):
                continue
            if ts > r.timestamp + 10_000 or ts < stream_time - LATENESS_MS:
                continue
            stream_time = max(stream_time, ts)
            events = kept.setdefault(session, [])
            if any((e[0], e[2]) == (ts, item) for e in events):
                continue
            event = (ts, r.offset, item)
            events.append(event)
            events.sort()
            if event not in events[-RULES.max_length :]:
                continue
            context = [events[-1]]
            for older in reversed(events[-RULES.max_length : -1]):
                if context[0][0] - older[0] > RULES.inactivity_ms:
                    break
                if events[-1][0] - older[0] > RULES.horizon_ms:
                    break
                context.insert(0, older)
            items = [e[2] for e in context]
            slate = recommender.recommend(items, K)
            known = sum(recommender.catalog.row(i) >= 0 for i in items)
            id_ = f"{r.topic}-{partition}-{r.offset}"
            out[id_] = {
                "schema_version": 1,
                "id": id_,
                "session_id": session,
                "ts": ts,
                "model": recommender.fingerprint,
                "items": [i for i, _ in slate],
                "scores": [s for _, s in slate],
                "known_items": known,
                "fallback": known == 0,
                "in_order": events[-1] == event,
            } | more
    return out
