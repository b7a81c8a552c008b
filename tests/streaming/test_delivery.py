"""Outputs are kept until the brokers have them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from broker_fixtures import Broker, unique
from kafka import TopicPartition
from kafka.errors import GroupAuthorizationFailedError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata
from stream_support import Stage

from session_rec.config import parse_config
from session_rec.errors import UserError
from session_rec.events import Event
from session_rec.sessions import SessionRules
from streaming.config import StreamConfig
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.dead_letters import DeadLetters
from streaming.delivery import Delivery, DeliveryError
from streaming.kafka_clients import make_consumer
from streaming.outputs import Output
from streaming.positions import Positions
from streaming.transactions import make_delivery


def config(stage: Stage, **more: object) -> StreamConfig:
    topics = {
        "events": stage.events,
        "predictions": stage.predictions,
        "dead_letters": stage.dead_letters,
    }
    kafka = {"bootstrap_servers": stage.broker.bootstrap_servers}
    values = {"model": "m", "topics": topics, "kafka": kafka, "group_id": stage.group, **more}
    return parse_config(values, StreamConfig, "test")


def outputs(topic: str, count: int, size: int = 10) -> list[Output]:
    return [Output(topic, b"k%d" % n, b"x" * size, []) for n in range(count)]


def test_what_failed_is_sent_again_with_the_same_bytes(broker: Broker, tmp_path: Path) -> None:
    stage = Stage(broker, tmp_path, partitions=1)
    delivery = Delivery(config(stage), None, DeadLetters(stage.dead_letters, 10_000))
    batch = outputs(stage.predictions, 5)
    real = delivery._producer.send
    calls = []

    def refuse_some(topic: str, **how: object) -> object:
        calls.append(how["key"])
        if len(calls) in (2, 4):
            raise KafkaTimeoutError("not now")
        return real(topic, **how)

    delivery._producer.send = refuse_some
    delivery.send(batch)
    delivery.settle()
    delivery.close(1)
    found = stage.read(stage.predictions)
    assert sorted((r.key, r.value) for r in found) == [(o.key, o.value) for o in batch]


def test_a_cluster_that_went_away_is_waited_for_and_then_an_error(tmp_path: Path) -> None:
    from streaming.embedded_broker import EmbeddedBroker

    with EmbeddedBroker() as running:
        broker = Broker("embedded", running.bootstrap_servers)
        stage = Stage(broker, tmp_path, partitions=1)
        delivery = Delivery(
            config(stage, delivery_timeout_s=1.5), None, DeadLetters(stage.dead_letters, 10_000)
        )
        broker.close()
    begin = time.monotonic()
    delivery.send(outputs(stage.predictions, 3))
    with pytest.raises(DeliveryError, match="nothing of them is committed"):
        delivery.settle()
    assert time.monotonic() - begin < 20


def test_a_dead_letter_that_its_topic_refuses_is_cut_until_it_fits(
    broker: Broker, tmp_path: Path
) -> None:
    """The limit of the topic was not known, as where its settings may not be seen."""
    stage = Stage(broker, tmp_path, partitions=1, dead_letter_configs={"max.message.bytes": "5000"})
    delivery = Delivery(config(stage), None, DeadLetters(stage.dead_letters, 1_048_576))
    delivery.send(outputs(stage.dead_letters, 1, 40_000) + outputs(stage.predictions, 2))
    delivery.settle()
    (letter,) = stage.read(stage.dead_letters)
    assert 1000 < len(letter.value) < 5000
    assert dict(letter.headers)["session-rec.truncated"] == b"40000"
    assert len(stage.read(stage.predictions)) == 2
    delivery.send(outputs(stage.predictions, 1))
    delivery.settle()
    delivery.close(1)
    assert len(stage.read(stage.predictions)) == 3


def test_a_prediction_too_large_for_its_topic_is_the_operators_to_solve(
    broker: Broker, tmp_path: Path
) -> None:
    stage = Stage(broker, tmp_path, partitions=1)
    delivery = Delivery(config(stage), None, DeadLetters(stage.dead_letters, 10_000))
    with pytest.raises(UserError, match=r"larger than topic .* takes"):
        delivery.send(outputs(stage.predictions, 1, 1_100_000))
        delivery.settle()
    delivery.close(1)


def test_a_first_commit_that_the_cluster_forbids_is_no_silent_start_at_the_beginning(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(broker, tmp_path, partitions=1)
    settings = config(stage)
    consumer = make_consumer(settings)

    def commit(*_: object, **__: object) -> None:
        raise GroupAuthorizationFailedError

    monkeypatch.setattr(consumer, "commit", commit)
    with pytest.raises(UserError, match="cannot commit where it starts"):
        Positions(consumer, settings, ContextSettings(SessionRules(), 120_000)).first_commit()
    consumer.close()


def test_commits_name_offsets_and_metadata_and_positions_read_them_back(
    broker: Broker, tmp_path: Path
) -> None:
    stage = Stage(broker, tmp_path, partitions=1)
    stage.produce([(b"s", b"{}", 1000 * n) for n in range(1, 11)])
    settings = config(stage, max_future_skew_s="off")
    how = ContextSettings(SessionRules(inactivity_ms=2000, horizon_ms=2000), 120_000)
    consumer = make_consumer(settings)
    positions = Positions(consumer, settings, how)
    delivery = Delivery(settings, consumer, DeadLetters(stage.dead_letters, 10_000))
    tp = TopicPartition(stage.events, 0)
    contexts = PartitionContexts(how, 3, stream_time=2500)
    contexts.add(Event("s", "x", 4000), 3)
    assert delivery.commit({tp: positions.commit_entry(contexts)})
    found = positions.find(tp, positions.stand(tp))
    assert (found.read_from, found.emit_from, found.stream_time) == (3, 4, 2500)

    # Rules that reach further back than what the commit was made for: read back by time.
    longer = ContextSettings(SessionRules(inactivity_ms=3000, horizon_ms=2000), 1000)
    positions = Positions(consumer, settings, longer)
    found = positions.find(tp, positions.stand(tp))
    assert (found.read_from, found.emit_from, found.stream_time) == (0, 4, None)
    assert delivery.commit({tp: OffsetAndMetadata(9, "set by hand", -1)})
    found = positions.find(tp, positions.stand(tp))
    # The record before offset 9 is of 9000 ms, less inactivity, lateness and horizon: 3000 ms.
    assert (found.read_from, found.emit_from, found.stream_time) == (2, 9, None)
    consumer.close()
    delivery.close(1)


@pytest.mark.parametrize("kind", ["at-least-once", "exactly-once"])
def test_batches_larger_than_a_topic_takes_are_waited_for_in_pieces(
    broker: Broker, tmp_path: Path, kind: str
) -> None:
    """max.message.bytes bounds a batch: the client splits it, and has returned from flush then."""
    stage = Stage(broker, tmp_path, partitions=1, dead_letter_configs={"max.message.bytes": "4000"})
    settings = config(stage, delivery=kind, transactional_id=unique("txn"), delivery_timeout_s=20)
    delivery = make_delivery(settings, None, DeadLetters(stage.dead_letters, 1_048_576))
    producer = delivery._producer
    batch = outputs(stage.dead_letters, 100, 300)
    delivery.send(batch)
    delivery.settle()
    assert delivery._producer is producer
    if kind == "exactly-once":
        producer.commit_transaction()
    delivery.close(1)
    found = stage.read(stage.dead_letters)
    assert [(r.key, r.value) for r in found] == [(o.key, o.value) for o in batch]
