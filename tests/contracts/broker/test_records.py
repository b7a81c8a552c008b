"""Records through both clients: what is sent comes back, byte for byte."""

from __future__ import annotations

import time

import pytest
from broker_fixtures import Broker
from client_contract import Client, Record, Refused
from confluent_client import ConfluentClient
from kafka import errors as kafka_errors
from kafka.admin import OffsetSpec
from kafka.structs import TopicPartition
from kafka_python_client import KafkaPythonClient

NOW = int(time.time() * 1000)


def test_records_come_back_as_they_were_sent(broker: Broker, client: Client) -> None:
    topic, producer = broker.topic(), client.producer()
    sent = [
        Record(0, 0, b"k1", b"v1", [("trace", b"abc"), ("empty", b"")], NOW - 5000, False),
        Record(0, 1, None, b"", [], NOW - 7000, False),
        Record(0, 2, b"k2", None, [], NOW, False),
        Record(0, 3, b"", "é".encode(), [("two", b"1"), ("two", b"2")], NOW, False),
    ]
    if client.writes_null_headers:
        sent.append(Record(0, 4, b"k3", b"v3", [("null", None)], NOW, False))
    for r in sent:
        offset = producer.send(topic, r.value, r.key, r.headers, timestamp=r.timestamp)
        assert offset == r.offset
    # What one library writes the other one reads.
    for library in (KafkaPythonClient, ConfluentClient):
        reader = library(broker)
        consumer = reader.consumer()
        consumer.assign(topic)
        assert consumer.read(len(sent)) == sent
        reader.close()


def test_every_compression_of_the_client_comes_back(broker: Broker, client: Client) -> None:
    topic = broker.topic()
    for codec in client.codecs:
        values = [codec.encode() + b"x" * 500] * 20
        client.producer(compression=codec).send_many(topic, values)
    consumer = client.consumer()
    consumer.assign(topic)
    got = consumer.read(20 * len(client.codecs))
    expected = [codec.encode() + b"x" * 500 for codec in client.codecs for _ in range(20)]
    assert [r.value for r in got] == expected
    assert [r.offset for r in got] == list(range(len(expected)))
    begin, end = consumer.bounds(topic)
    assert (begin, end) == (0, len(expected))


def test_an_idempotent_producer_keeps_order_without_gaps(broker: Broker, client: Client) -> None:
    topic = broker.topic(2)
    producer = client.producer(idempotent=True)
    values = [str(number).encode() for number in range(500)]
    for partition in (0, 1):
        assert producer.send_many(topic, values, partition) == list(range(500))
    consumer = client.consumer()
    consumer.assign(topic, 0, 1)
    got = consumer.read(1000)
    for partition in (0, 1):
        assert [r.value for r in got if r.partition == partition] == values


def test_append_time_topic_overrides_the_producers_clock(broker: Broker, client: Client) -> None:
    topic = broker.topic(configs={"message.timestamp.type": "LogAppendTime"})
    client.producer().send(topic, b"x", timestamp=1000)
    consumer = client.consumer()
    consumer.assign(topic)
    (record,) = consumer.read(1)
    assert record.append_time
    assert abs(record.timestamp - time.time() * 1000) < 60_000


def test_offsets_for_times(broker: Broker, client: Client) -> None:
    topic, producer, base = broker.topic(), client.producer(), NOW - 60_000
    for timestamp in (1000, 3000, 2000, 5000):
        producer.send(topic, b"x", timestamp=base + timestamp)
    consumer = client.consumer()
    # The first record in the log that is not older, whatever comes after it.
    found = [consumer.offset_for_time(topic, base + t) for t in (0, 1000, 1001, 2500, 3001, 5000)]
    assert found == [0, 0, 1, 1, 3, 3]
    assert consumer.offset_for_time(topic, base + 5001) is None
    assert consumer.bounds(topic) == (0, 4)
    partition = TopicPartition(topic, 0)
    newest = broker.admin.list_partition_offsets({partition: OffsetSpec.MAX_TIMESTAMP})[partition]
    assert (newest.offset, newest.timestamp) == (3, base + 5000)


def test_a_record_that_is_too_large_is_refused_and_the_next_one_is_not(
    broker: Broker, client: Client
) -> None:
    topic = broker.topic(configs={"max.message.bytes": "1000"})
    producer = client.producer()
    assert producer.send(topic, b"x" * 500) == 0
    with pytest.raises(Refused) as caught:
        producer.send(topic, b"x" * 2000)
    assert caught.value.code == kafka_errors.MessageSizeTooLargeError.errno
    assert producer.send(topic, b"after") == 1
    consumer = client.consumer()
    consumer.assign(topic)
    assert [r.value for r in consumer.read(2)] == [b"x" * 500, b"after"]


def test_a_larger_limit_lets_larger_records_through(broker: Broker, client: Client) -> None:
    topic, admin = broker.topic(configs={"max.message.bytes": "1000"}), client.admin()
    admin.set_config(topic, "max.message.bytes", "5000")
    # A real broker takes a change in a moment after it has answered.
    producer, deadline = client.producer(), time.monotonic() + 10
    while True:
        try:
            producer.send(topic, b"x" * 2000)
            break
        except Refused:
            assert time.monotonic() < deadline
    consumer = client.consumer()
    consumer.assign(topic)
    assert [r.value for r in consumer.read(1)] == [b"x" * 2000]
