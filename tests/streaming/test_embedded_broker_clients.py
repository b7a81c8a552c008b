"""A second client (librdkafka) on both brokers: the embedded one speaks Kafka, not kafka-python."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from broker_fixtures import Broker, unique
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

_TIMEOUT_S = 20


def consumer(broker: Broker, group: str, **settings: Any) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "heartbeat.interval.ms": 200,
            **settings,
        }
    )


def drive(consumers: list[Consumer], until: Callable[[list[Any]], bool]) -> list[Any]:
    """Polls all consumers in turn until the condition holds for the messages got so far."""
    messages: list[Any] = []
    deadline = time.monotonic() + _TIMEOUT_S
    while not until(messages):
        assert time.monotonic() < deadline, [c.assignment() for c in consumers]
        for each in consumers:
            message = each.poll(0.05)
            if message is not None:
                assert message.error() is None, message.error()
                messages.append(message)
    return messages


def test_messages_come_back_as_they_were_sent(broker):
    topic = broker.topic()
    now = int(time.time() * 1000)
    for compression in ("none", "gzip", "lz4", "zstd", "snappy"):
        producer = Producer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "compression.type": compression,
                "enable.idempotence": compression == "none",
            }
        )
        producer.produce(
            topic,
            key=compression,
            value=b"x" * 500,
            headers=[("none", None), ("codec", compression.encode())],
            timestamp=now,
        )
        assert producer.flush(_TIMEOUT_S) == 0
    reader = consumer(broker, unique("group"))
    reader.assign([TopicPartition(topic, 0, 0)])
    got = drive([reader], lambda messages: len(messages) == 5)
    assert [m.key().decode() for m in got] == ["none", "gzip", "lz4", "zstd", "snappy"]
    assert {m.value() for m in got} == {b"x" * 500}
    assert got[2].headers() == [("none", None), ("codec", b"lz4")]
    assert {m.timestamp()[1] for m in got} == {now}
    (found,) = reader.offsets_for_times([TopicPartition(topic, 0, now)], timeout=_TIMEOUT_S)
    assert found.offset == 0
    assert reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=_TIMEOUT_S) == (0, 5)
    reader.close()


def test_a_group_shares_and_commits(broker):
    topic, group = broker.topic(4), unique("group")
    settings = {"partition.assignment.strategy": "cooperative-sticky"}
    both = [consumer(broker, group, **settings) for _ in range(2)]
    for each in both:
        each.subscribe([topic])
    drive(both, lambda _: [len(c.assignment()) for c in both] == [2, 2])
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for number in range(20):
        producer.produce(topic, value=str(number), partition=number % 4)
    producer.flush(_TIMEOUT_S)
    got = drive(both, lambda messages: len(messages) == 20)
    assert sorted(int(m.value()) for m in got) == list(range(20))
    both[0].commit(offsets=[TopicPartition(topic, 0, 5, metadata="here")], asynchronous=False)
    (found,) = both[1].committed([TopicPartition(topic, 0)], timeout=_TIMEOUT_S)
    assert (found.offset, found.metadata) == (5, "here")
    both[0].close()
    drive(both[1:], lambda _: len(both[1].assignment()) == 4)
    both[1].close()


def test_transactions_with_offsets(broker):
    topic, group, transactional_id = broker.topic(), unique("group"), unique("tx")

    def transactional() -> Producer:
        producer = Producer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "transactional.id": transactional_id,
            }
        )
        producer.init_transactions(_TIMEOUT_S)
        return producer

    reader = consumer(broker, group, **{"isolation.level": "read_committed"})
    reader.assign([TopicPartition(topic, 0, 0)])
    producer = transactional()
    for value, ends in (("1", "abort"), ("2", "commit"), ("3", "abort"), ("4", "commit")):
        producer.begin_transaction()
        producer.produce(topic, value=value)
        producer.send_offsets_to_transaction(
            [TopicPartition(topic, 0, int(value))], reader.consumer_group_metadata(), _TIMEOUT_S
        )
        if ends == "commit":
            producer.commit_transaction(_TIMEOUT_S)
        else:
            producer.abort_transaction(_TIMEOUT_S)
    got = drive([reader], lambda messages: len(messages) == 2)
    assert [m.value() for m in got] == [b"2", b"4"]
    (found,) = reader.committed([TopicPartition(topic, 0)], timeout=_TIMEOUT_S)
    assert found.offset == 4
    newer = transactional()
    newer.begin_transaction()
    newer.produce(topic, value="5")
    producer.begin_transaction()
    try:
        producer.produce(topic, value="late")
        producer.commit_transaction(_TIMEOUT_S)
        raise AssertionError("the older producer was not fenced")
    except KafkaException as error:
        assert error.args[0].fatal()
    newer.commit_transaction(_TIMEOUT_S)
    got = drive([reader], lambda messages: len(messages) == 1)
    assert [m.value() for m in got] == [b"5"]
    reader.close()
