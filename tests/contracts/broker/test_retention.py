"""Retention: what expires or is deleted moves the start of the log, and readers hear of it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from broker_fixtures import Broker
from client_contract import Client, OffsetLost, Refused
from kafka import errors as kafka_errors
from protocol_client import ProtocolClient, record_batch
from raw_records import fetch, list_offset, produce

OUT_OF_RANGE = kafka_errors.OffsetOutOfRangeError.errno
EARLIEST, LATEST = -2, -1


@pytest.fixture
def prompt(broker: Broker) -> Broker:
    if not broker.expires_at_once:
        pytest.skip("this cluster looks for expired records every few minutes only")
    return broker


def start_of(wire: ProtocolClient, topic: str, done: Callable[[int], bool]) -> int:
    """The first offset, as soon as it is as wanted, or what it is after 15 s."""
    deadline = time.monotonic() + 15
    while True:
        offset = int(list_offset(wire, topic, EARLIEST).offset)
        if done(offset) or time.monotonic() > deadline:
            return offset
        time.sleep(0.05)


def test_old_records_expire_by_their_time(prompt: Broker, wire: ProtocolClient) -> None:
    # Real brokers delete by segment: a new one begins where record times are a second apart.
    topic = prompt.topic(configs={"retention.ms": "60000", "segment.ms": "1000"})
    now = int(time.time() * 1000)
    for age in (61_000, 61_000, 0):
        produce(wire, topic, record_batch(b"x", timestamp=now - age))
    assert start_of(wire, topic, lambda offset: offset == 2) == 2
    assert list_offset(wire, topic, LATEST).offset == 3
    assert fetch(wire, topic, 1).error_code == OUT_OF_RANGE
    answer = fetch(wire, topic, 2)
    assert (answer.error_code, answer.log_start_offset) == (0, 2)
    assert list_offset(wire, topic, now - 61_000).offset == 2  # the first that is left


def test_a_partition_is_kept_within_its_bytes(prompt: Broker, wire: ProtocolClient) -> None:
    # A segment is at least a MiB, and expires once all the others are enough.
    bound = 1 << 20
    topic = prompt.topic(configs={"retention.bytes": str(bound), "segment.bytes": str(bound)})
    batch = record_batch(b"x" * 200_000)
    for offset in range(20):
        assert produce(wire, topic, batch).base_offset == offset
    start = start_of(wire, topic, lambda offset: offset >= 10)
    # What is left is at least the bound and less than two segments more.
    assert bound < (20 - start) * len(batch) < 3 * bound
    assert fetch(wire, topic, start - 1).error_code == OUT_OF_RANGE
    assert fetch(wire, topic, start).error_code == 0
    assert produce(wire, topic, batch).base_offset == 20  # offsets go on


def test_nothing_expires_where_retention_is_without_bound(
    prompt: Broker, wire: ProtocolClient
) -> None:
    topic = prompt.topic(configs={"retention.ms": "-1", "retention.bytes": "-1"})
    produce(wire, topic, record_batch(b"x", timestamp=1000))
    time.sleep(0.7)  # several looks of the broker
    assert list_offset(wire, topic, EARLIEST).offset == 0
    assert fetch(wire, topic, 0).error_code == 0


def test_what_is_outside_of_the_log_is_out_of_range(
    broker: Broker, client: Client, wire: ProtocolClient
) -> None:
    topic = broker.topic()
    for _ in range(5):
        produce(wire, topic, record_batch(b"x"))
    assert fetch(wire, topic, 6).error_code == OUT_OF_RANGE
    assert fetch(wire, topic, 5).error_code == 0
    client.admin().delete_records(topic, 3)
    assert fetch(wire, topic, 2).error_code == OUT_OF_RANGE
    answer = fetch(wire, topic, 3)
    assert (answer.error_code, answer.log_start_offset, answer.high_watermark) == (0, 3, 5)


def test_readers_hear_that_their_position_is_gone(broker: Broker, client: Client) -> None:
    topic, producer = broker.topic(), client.producer()
    producer.send_many(topic, [str(number).encode() for number in range(5)])
    admin = client.admin()
    admin.delete_records(topic, 3)
    strict, lenient = client.consumer(reset="none"), client.consumer(reset="earliest")
    assert strict.bounds(topic) == (3, 5)
    strict.assign(topic, offset=1)
    with pytest.raises(OffsetLost):
        strict.read(1)
    lenient.assign(topic, offset=1)
    assert [r.offset for r in lenient.read(2)] == [3, 4]
    with pytest.raises(Refused) as caught:
        admin.delete_records(topic, 6)
    assert caught.value.code == OUT_OF_RANGE
    admin.delete_records(topic, 2)  # behind the start already: nothing happens
    assert strict.bounds(topic) == (3, 5)


def test_the_start_may_lie_inside_of_a_batch(broker: Broker, client: Client) -> None:
    topic = broker.topic()
    wire = ProtocolClient(broker.bootstrap_servers)
    now = int(time.time() * 1000)
    produce(wire, topic, record_batch(b"0", b"1", b"2", b"3", timestamp=now))
    wire.close()
    client.admin().delete_records(topic, 2)
    consumer = client.consumer()
    consumer.assign(topic, offset=2)
    assert [(r.offset, r.value) for r in consumer.read(2)] == [(2, b"2"), (3, b"3")]
    assert consumer.offset_for_time(topic, now - 1000) == 2
