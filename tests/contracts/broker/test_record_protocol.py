"""Produce and Fetch as requests: what idempotent producers rely on, and which batches are taken."""

from __future__ import annotations

import time
import uuid

from broker_fixtures import Broker, unique
from kafka import errors as kafka_errors
from kafka.protocol.metadata import MetadataRequest, MetadataResponse
from protocol_client import ProtocolClient, record_batch
from raw_records import fetch, produce

OUT_OF_ORDER = kafka_errors.OutOfOrderSequenceNumberError.errno


def test_what_idempotent_producers_send_twice_is_written_once(
    broker: Broker, wire: ProtocolClient
) -> None:
    topic = broker.topic()
    producer_id = 4_000_000 + uuid.uuid4().int % 1_000_000  # none that the broker handed out

    def send(sequence: int, *values: bytes, epoch: int = 3) -> tuple[int, int]:
        batch = record_batch(*values, producer_id=producer_id, epoch=epoch, sequence=sequence)
        answer = produce(wire, topic, batch)
        return answer.error_code, answer.base_offset

    assert send(0, b"value-a", b"value-b") == (0, 0)
    assert send(2, b"value-c") == (0, 2)
    assert send(0, b"value-a", b"value-b") == (0, 0)
    assert send(2, b"value-c") == (0, 2)
    assert send(4, b"value-e")[0] == kafka_errors.OutOfOrderSequenceNumberError.errno
    assert send(3, b"value-d") == (0, 3)
    assert send(4, b"value-e", epoch=2)[0] == kafka_errors.InvalidProducerEpochError.errno
    assert send(1, b"value-e", epoch=4)[0] == kafka_errors.OutOfOrderSequenceNumberError.errno
    assert send(0, b"value-e", epoch=4) == (0, 4)
    stored = fetch(wire, topic, 0).records
    assert [
        stored.count(value)
        for value in (b"value-a", b"value-b", b"value-c", b"value-d", b"value-e")
    ] == [1] * 5


def test_only_the_last_five_batches_are_known_again(broker: Broker, wire: ProtocolClient) -> None:
    topic = broker.topic()
    producer_id = 5_000_000 + uuid.uuid4().int % 1_000_000

    def send(sequence: int) -> tuple[int, int]:
        batch = record_batch(b"x", producer_id=producer_id, epoch=0, sequence=sequence)
        answer = produce(wire, topic, batch)
        return answer.error_code, answer.base_offset

    assert [send(sequence) for sequence in range(6)] == [(0, offset) for offset in range(6)]
    assert [send(sequence) for sequence in range(1, 6)] == [(0, offset) for offset in range(1, 6)]
    assert send(0)[0] == OUT_OF_ORDER
    assert send(6) == (0, 6)


def test_two_producers_do_not_disturb_each_others_sequence(
    broker: Broker, wire: ProtocolClient
) -> None:
    topic = broker.topic()
    first = 6_000_000 + uuid.uuid4().int % 1_000_000
    for sequence in range(3):
        for producer_id in (first, first + 1):
            batch = record_batch(b"x", producer_id=producer_id, epoch=0, sequence=sequence)
            assert produce(wire, topic, batch).error_code == 0
    assert fetch(wire, topic, 6).high_watermark == 6


def test_a_record_from_the_future_is_refused(broker: Broker, wire: ProtocolClient) -> None:
    topic, hour, now = broker.topic(), 3_600_000, int(time.time() * 1000)
    late = produce(wire, topic, record_batch(b"x", timestamp=now + 3 * hour))
    assert late.error_code == kafka_errors.InvalidTimestampError.errno
    good = produce(wire, topic, record_batch(b"x", timestamp=now + hour // 2))
    assert (good.error_code, good.base_offset) == (0, 0)


def test_a_topic_may_refuse_records_that_are_too_old(broker: Broker, wire: ProtocolClient) -> None:
    topic = broker.topic(configs={"message.timestamp.before.max.ms": "60000"})
    code, now = kafka_errors.InvalidTimestampError.errno, int(time.time() * 1000)
    assert produce(wire, topic, record_batch(b"x", timestamp=now - 120_000)).error_code == code
    assert produce(wire, topic, record_batch(b"x", timestamp=now)).error_code == 0


def test_a_compacted_topic_wants_keys(broker: Broker, wire: ProtocolClient) -> None:
    topic = broker.topic(configs={"cleanup.policy": "compact"})
    refused = produce(wire, topic, record_batch(b"x"))
    assert refused.error_code == kafka_errors.InvalidRecordError.errno
    assert produce(wire, topic, record_batch(b"x", key=b"k")).error_code == 0


def test_a_damaged_batch_is_refused(broker: Broker, wire: ProtocolClient) -> None:
    topic = broker.topic()
    damaged = bytearray(record_batch(b"hello"))
    damaged[-2] ^= 1
    code = kafka_errors.CorruptRecordError.errno
    assert produce(wire, topic, bytes(damaged)).error_code == code
    assert produce(wire, topic, record_batch(b"hello")).error_code == 0


def test_one_replica_is_enough_whatever_a_topic_asks_for(
    broker: Broker, wire: ProtocolClient
) -> None:
    topic = broker.topic(configs={"min.insync.replicas": "2"})
    assert produce(wire, topic, record_batch(b"x"), acks=-1).error_code == 0


def test_an_unknown_topic_is_not_created(broker: Broker, wire: ProtocolClient) -> None:
    unknown = unique("unknown")
    request = MetadataRequest(
        topics=[MetadataRequest.MetadataRequestTopic(name=unknown)],
        allow_auto_topic_creation=True,
    )
    (answer,) = wire.call(request, MetadataResponse, 8).topics
    code = kafka_errors.UnknownTopicOrPartitionError.errno
    assert (answer.name, answer.error_code) == (unknown, code)
    assert produce(wire, unknown, record_batch(b"x")).error_code == code
    assert fetch(wire, unknown, 0).error_code == code
    assert unknown not in broker.admin.list_topics()
