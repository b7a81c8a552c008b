"""Long polls: a fetch waits for what it asked for, and not a moment longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from broker_fixtures import Broker
from client_contract import Client
from kafka import errors as kafka_errors
from protocol_client import ProtocolClient, record_batch
from raw_records import fetch, produce

WAIT_MS = 20_000  #: never slept to its end, or the test says so
SOON_S = 10.0


def test_a_waiting_consumer_gets_a_record_at_once(broker: Broker, client: Client) -> None:
    topic, producer = broker.topic(), client.producer()
    consumer = client.consumer(max_wait_ms=WAIT_MS)
    consumer.assign(topic)
    assert consumer.poll(0.3) == []  # its fetch now waits at the broker
    producer.send(topic, b"wake")
    begun = time.monotonic()
    assert [r.value for r in consumer.poll(15)] == [b"wake"]
    assert time.monotonic() - begun < SOON_S


def test_a_fetch_wakes_when_a_record_comes(
    broker: Broker, connect: Callable[[], ProtocolClient]
) -> None:
    topic, reader, writer = broker.topic(), connect(), connect()
    timer = threading.Timer(0.2, produce, (writer, topic, record_batch(b"wake")))
    timer.start()
    begun = time.monotonic()
    answer = fetch(reader, topic, 0, max_wait_ms=WAIT_MS)
    assert 0.1 < time.monotonic() - begun < SOON_S
    assert b"wake" in answer.records
    timer.join()


def test_a_fetch_waits_for_as_many_bytes_as_it_asked_for(
    broker: Broker, connect: Callable[[], ProtocolClient]
) -> None:
    topic, reader, writer = broker.topic(), connect(), connect()
    produce(writer, topic, record_batch(b"x" * 600))
    begun = time.monotonic()
    answer = fetch(reader, topic, 0, max_wait_ms=300, min_bytes=1000)
    assert time.monotonic() - begun >= 0.25
    assert 600 < len(answer.records) < 1000  # what there is, when the wait is over
    timer = threading.Timer(0.2, produce, (writer, topic, record_batch(b"y" * 600)))
    timer.start()
    begun = time.monotonic()
    answer = fetch(reader, topic, 0, max_wait_ms=WAIT_MS, min_bytes=1000)
    assert 0.1 < time.monotonic() - begun < SOON_S
    assert len(answer.records) > 1200
    timer.join()


def test_a_fetch_without_records_ends_empty(broker: Broker, wire: ProtocolClient) -> None:
    topic = broker.topic()
    begun = time.monotonic()
    answer = fetch(wire, topic, 0, max_wait_ms=300)
    assert (answer.error_code, answer.records or b"") == (0, b"")
    assert time.monotonic() - begun >= 0.25


def test_a_fetch_does_not_wait_to_report_an_error(broker: Broker, wire: ProtocolClient) -> None:
    topic = broker.topic()
    begun = time.monotonic()
    answer = fetch(wire, topic, 5, max_wait_ms=WAIT_MS)
    assert answer.error_code == kafka_errors.OffsetOutOfRangeError.errno
    assert time.monotonic() - begun < SOON_S


def test_a_fetch_returns_one_batch_even_where_it_is_larger_than_asked(
    broker: Broker, wire: ProtocolClient
) -> None:
    topic = broker.topic()
    for _ in range(2):
        produce(wire, topic, record_batch(b"x" * 5000))
    answer = fetch(wire, topic, 0, max_bytes=100)
    assert 5000 < len(answer.records) < 10_000
