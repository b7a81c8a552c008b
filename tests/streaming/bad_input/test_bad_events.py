"""Whatever comes in: no crash, every record accounted for, and dead exactly what must be.

What must become of each message is said by an oracle of its own (`tests/fuzz/event_oracle.py`).
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from bad_events import SKEW_MS, bad_events, fate
from broker_fixtures import Broker
from kafka import TopicPartition
from kafka.admin import OffsetSpec
from stream_support import LATENESS_MS, RULES, K, Stage, accounted, toy_bundle
from test_header_names import Name

from session_rec.recommender import Recommender
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.dead_letters import DeadLetters
from streaming.pipeline import Partition, Pipeline

_LETTER_BYTES = 50_000
_POLL = 500


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("models") / "toy")


def test_in_process(model: Path) -> None:
    through_the_pipeline(model, seed=1, count=12_000)


@pytest.mark.soak
def test_a_million_in_process(model: Path) -> None:
    through_the_pipeline(model, seed=2, count=1_000_000)


def through_the_pipeline(model: Path, seed: int, count: int) -> None:
    """The daemon's own steps on one partition, without Kafka, each poll held to the oracle."""
    p = Pipeline(
        Recommender.load(model),
        DeadLetters("dead", _LETTER_BYTES),
        "predictions",
        k=K,
        max_future_skew_ms=SKEW_MS,
    )
    how = ContextSettings(RULES, LATENESS_MS, max_sessions=100)
    part = Partition("events-0", PartitionContexts(how, 0), 0, 0)
    messages = bad_events(seed, count)
    fates: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    letters_seen = predictions = offset = 0
    while poll := list(islice(messages, _POLL)):
        records = [
            SimpleNamespace(
                topic="events", partition=0, offset=offset + n, timestamp=m.timestamp,
                key=m.key, value=m.value, headers=[("n", b"%d" % n)],
            )
            for n, m in enumerate(poll)
        ]  # fmt: skip
        questions, letters = p.take(part, records)
        dead = {int(dict(o.headers)["session-rec.offset"]) - offset: o for o in letters}
        for n, message in enumerate(poll):
            want = fate(message)
            fates[want] += 1
            kinds[message.kind] += 1
            if want != "either":
                assert (n in dead) == (want == "dead"), (message, dead.get(n))
            if n in dead:
                whole = message.value or b""
                letter = dead[n]
                assert whole.startswith(letter.value or b"")
                notes = dict(letter.headers)
                assert notes["session-rec.reason"] and "\n" not in str(notes["session-rec.reason"])
                assert len(letter.value or b"") == len(whole) or "session-rec.truncated" in notes
        letters_seen += len(letters)
        for outputs in p.answer(questions):
            for output in outputs:
                assert json.loads(output.value or b"")["id"].startswith("events-0-")
                predictions += 1
        offset += len(poll)
    a = p.accounts
    assert offset == count == a.consumed == a.accounted == part.contexts.next_offset
    assert (letters_seen, predictions) == (a.dead_lettered, a.emitted)
    assert a.tombstones == fates["tombstone"]
    assert fates["dead"] <= a.dead_lettered <= fates["dead"] + fates["either"]
    alive = a.emitted + a.duplicates + a.late + a.outside
    assert fates["alive"] <= alive <= fates["alive"] + fates["either"]
    # The generator reaches every fate, or it would prove little.
    assert len(kinds) == 14
    assert min(a.emitted, a.late, a.dead_lettered, a.tombstones, fates["either"]) > count / 200


def test_through_a_daemon(embedded_broker: Broker, model: Path) -> None:
    through_a_daemon(embedded_broker, model, seed=3, count=1_500)


@pytest.mark.soak
def test_many_through_a_daemon_on_a_real_broker(apache_broker: Broker, model: Path) -> None:
    count = int(os.environ.get("SESSION_REC_BAD_EVENTS", "100000"))
    through_a_daemon(apache_broker, model, seed=4, count=count)


def through_a_daemon(broker: Broker, model: Path, seed: int, count: int) -> None:
    """A daemon in a process of its own: what it says it did is what the topics hold."""
    messages = list(bad_events(seed, count))
    fates = Counter(map(fate, messages))
    stage = Stage(
        broker, model, partitions=3, dead_letter_configs={"max.message.bytes": str(_LETTER_BYTES)}
    )
    rows = [(m.key, m.value, m.timestamp) for m in messages]
    sendable = [row for row in rows if row[:2] != (None, None)]
    produce_nothing(stage, len(rows) - len(sendable) + 1)
    stage.produce(sendable[: count // 2])
    stage.produce(sendable[count // 2 :], headers=[(Name("x"), b"\xff"), ("a", b"")])
    # One more than the messages: a record without key and value, whatever the seed.
    total = count + 1
    with stage.daemon() as daemon:
        stage.wait_committed(total, timeout_s=300 + count / 50)
        metrics = daemon.metrics()
        assert daemon.stop() == 0, daemon.log
    assert "Traceback" not in daemon.log
    terms = accounted(metrics)
    assert metrics["session_rec_records_consumed_total"] == length(stage, stage.events) == total
    assert terms["emitted"] == length(stage, stage.predictions)
    assert terms["dead_lettered"] == length(stage, stage.dead_letters)
    assert terms["tombstones"] == fates["tombstone"]
    assert fates["dead"] + 1 <= terms["dead_lettered"] <= fates["dead"] + fates["either"] + 1
    letters = stage.read(stage.dead_letters)
    assert any(b"schema registry wire format" in reason(letter) for letter in letters)
    assert any(dict(letter.headers).get("session-rec.null-value") for letter in letters)
    assert any(name == "tr\\xffce" for letter in letters for name, _ in letter.headers)
    print(f"{total} records: {terms}; letters {dict(fates)}", file=sys.stderr)


def length(stage: Stage, topic: str) -> int:
    """Records in the topic, by the offsets that the broker says."""
    (found,) = stage.broker.admin.describe_topics([topic])
    ends = {TopicPartition(topic, n): OffsetSpec.LATEST for n in range(len(found["partitions"]))}
    return sum(end.offset for end in stage.broker.admin.list_partition_offsets(ends).values())


def reason(letter: object) -> bytes:
    return dict(letter.headers)["session-rec.reason"]  # type: ignore[attr-defined]


def produce_nothing(stage: Stage, count: int) -> None:
    """Records without key and value, which kafka-python does not send, and other clients do."""
    confluent_kafka = pytest.importorskip("confluent_kafka")
    producer = confluent_kafka.Producer({"bootstrap.servers": stage.broker.bootstrap_servers})
    for _ in range(count):
        producer.produce(stage.events, value=None, key=None, partition=0, timestamp=1)
    assert producer.flush(30) == 0
