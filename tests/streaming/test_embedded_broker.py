"""Records and topics: the same contract for the embedded broker and for Apache Kafka."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from broker_fixtures import Broker, unique
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic, OffsetSpec
from kafka.protocol.consumer import FetchRequest, FetchResponse
from kafka.protocol.metadata import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    MetadataRequest,
    MetadataResponse,
)
from kafka.protocol.producer import ProduceRequest, ProduceResponse
from protocol_client import ProtocolClient, record_batch

NOW = int(time.time() * 1000)


@pytest.fixture
def producer(broker: Broker) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    yield producer
    producer.close()


@pytest.fixture
def client(broker: Broker) -> Iterator[ProtocolClient]:
    with ProtocolClient(broker.bootstrap_servers) as client:
        yield client


def consume(broker: Broker, topic: str, count: int, **settings: Any) -> list[Any]:
    """`count` records of partition 0 from its start, or fewer after 10 s."""
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest", **settings
    )
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    records: list[Any] = []
    deadline = time.monotonic() + 10
    while len(records) < count and time.monotonic() < deadline:
        records += consumer.poll(timeout_ms=200).get(partition, [])
    consumer.close()
    return records


def produce_raw(client: ProtocolClient, topic: str, records: bytes | None) -> Any:
    Topic = ProduceRequest.TopicProduceData
    data = Topic(name=topic, partition_data=[Topic.PartitionProduceData(index=0, records=records)])
    request = ProduceRequest(transactional_id=None, acks=-1, timeout_ms=5000, topic_data=[data])
    return client.call(request, ProduceResponse, 9).responses[0].partition_responses[0]


def fetch_raw(
    client: ProtocolClient, topic: str, offset: int, max_wait_ms: int = 0, max_bytes: int = 1 << 20
) -> Any:
    Topic = FetchRequest.FetchTopic
    partition = Topic.FetchPartition(
        partition=0, fetch_offset=offset, partition_max_bytes=max_bytes
    )
    request = FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=1,
        max_bytes=max_bytes,
        isolation_level=0,
        session_id=0,
        session_epoch=-1,
        topics=[Topic(topic=topic, partitions=[partition])],
        forgotten_topics_data=[],
    )
    return client.call(request, FetchResponse, 11).responses[0].partitions[0]


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_records_come_back_as_they_were_sent(broker, producer, compression):
    topic = broker.topic()
    sender = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, compression_type=compression)
    sent = [
        (b"k1", b"v1", [("trace", b"abc"), ("empty", b"")], NOW - 5000),
        (None, b"", [], NOW - 7000),
        (b"k2", None, [], NOW),
    ]
    for key, value, headers, timestamp in sent:
        sender.send(topic, key=key, value=value, headers=headers, timestamp_ms=timestamp)
    sender.close()
    got = consume(broker, topic, 3)
    assert [(r.key, r.value, list(r.headers), r.timestamp) for r in got] == sent
    assert [r.offset for r in got] == [0, 1, 2]


def test_append_time_topic_overrides_the_producers_clock(broker, producer):
    topic = broker.topic(configs={"message.timestamp.type": "LogAppendTime"})
    producer.send(topic, value=b"x", timestamp_ms=1000).get(10)
    (record,) = consume(broker, topic, 1)
    assert abs(record.timestamp - time.time() * 1000) < 60_000
    assert record.timestamp_type == 1


def test_offsets_for_times(broker, producer):
    topic = broker.topic()
    partition = TopicPartition(topic, 0)
    for timestamp in (1000, 3000, 2000, 5000):
        producer.send(topic, value=b"x", timestamp_ms=NOW - 60_000 + timestamp)
    producer.flush()
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers)

    def offset(timestamp: int) -> int | None:
        found = consumer.offsets_for_times({partition: NOW - 60_000 + timestamp})[partition]
        return None if found is None else found.offset

    # The first record in the log that is not older, whatever comes after it.
    assert [offset(t) for t in (0, 1000, 1001, 2500, 3001, 5000)] == [0, 0, 1, 1, 3, 3]
    assert offset(5001) is None
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: 4}
    newest = broker.admin.list_partition_offsets({partition: OffsetSpec.MAX_TIMESTAMP})[partition]
    assert (newest.offset, newest.timestamp) == (3, NOW - 55_000)
    consumer.close()


def test_a_batch_that_is_too_large_is_refused(broker, producer):
    topic = broker.topic(configs={"max.message.bytes": "1000"})
    producer.send(topic, value=b"x" * 500).get(10)
    with pytest.raises(kafka_errors.MessageSizeTooLargeError):
        producer.send(topic, value=b"x" * 2000).get(10)
    assert len(consume(broker, topic, 1)) == 1


def test_a_record_from_the_future_is_refused(broker, client):
    topic = broker.topic()
    hour = 3_600_000
    late = produce_raw(client, topic, record_batch(b"x", timestamp=NOW + 3 * hour))
    assert late.error_code == kafka_errors.InvalidTimestampError.errno
    good = produce_raw(client, topic, record_batch(b"x", timestamp=NOW + hour // 2))
    assert (good.error_code, good.base_offset) == (0, 0)


def test_a_compacted_topic_wants_keys(broker, client):
    topic = broker.topic(configs={"cleanup.policy": "compact"})
    refused = produce_raw(client, topic, record_batch(b"x"))
    assert refused.error_code == kafka_errors.InvalidRecordError.errno
    assert produce_raw(client, topic, record_batch(b"x", key=b"k")).error_code == 0


def test_an_unknown_topic_is_not_created(broker, client):
    unknown = unique("unknown")
    request = MetadataRequest(
        topics=[MetadataRequest.MetadataRequestTopic(name=unknown)],
        allow_auto_topic_creation=True,
    )
    (answer,) = client.call(request, MetadataResponse, 8).topics
    code = kafka_errors.UnknownTopicOrPartitionError.errno
    assert (answer.name, answer.error_code) == (unknown, code)
    assert produce_raw(client, unknown, record_batch(b"x")).error_code == code
    assert fetch_raw(client, unknown, 0).error_code == code
    assert unknown not in broker.admin.list_topics()


def test_a_long_poll_wakes_when_a_record_comes(broker, client, producer):
    topic = broker.topic()
    producer.partitions_for(topic)
    timer = threading.Timer(0.3, lambda: producer.send(topic, value=b"wake").get(10))
    timer.start()
    begun = time.monotonic()
    answer = fetch_raw(client, topic, 0, max_wait_ms=20_000)
    assert b"wake" in answer.records
    assert time.monotonic() - begun < 10  # half of the wait: it did not sleep to the end
    timer.join()


def test_a_long_poll_without_records_ends_empty(broker, client):
    topic = broker.topic()
    begun = time.monotonic()
    answer = fetch_raw(client, topic, 0, max_wait_ms=300)
    assert (answer.error_code, answer.records or b"") == (0, b"")
    assert time.monotonic() - begun >= 0.25


def test_a_fetch_returns_one_batch_even_where_it_is_larger_than_asked(broker, client):
    topic = broker.topic()
    for _ in range(2):
        produce_raw(client, topic, record_batch(b"x" * 5000))
    answer = fetch_raw(client, topic, 0, max_bytes=100)
    assert 5000 < len(answer.records) < 10_000


def test_offsets_outside_of_the_log_are_refused(broker, client, producer):
    topic = broker.topic()
    partition = TopicPartition(topic, 0)
    for _ in range(5):
        producer.send(topic, value=b"x").get(10)
    code = kafka_errors.OffsetOutOfRangeError.errno
    assert fetch_raw(client, topic, 6).error_code == code
    assert fetch_raw(client, topic, 5).error_code == 0
    broker.admin.delete_records({partition: 3})
    assert fetch_raw(client, topic, 2).error_code == code
    answer = fetch_raw(client, topic, 3)
    assert (answer.error_code, answer.log_start_offset, answer.high_watermark) == (0, 3, 5)


def test_what_idempotent_producers_send_twice_is_written_once(broker, client):
    topic = broker.topic()
    producer_id = 4_000_000 + uuid.uuid4().int % 1_000_000  # none that the broker handed out

    def send(sequence: int, *values: bytes, epoch: int = 3) -> tuple[int, int]:
        batch = record_batch(*values, producer_id=producer_id, epoch=epoch, sequence=sequence)
        answer = produce_raw(client, topic, batch)
        return answer.error_code, answer.base_offset

    assert send(0, b"a", b"b") == (0, 0)
    assert send(2, b"c") == (0, 2)
    assert send(0, b"a", b"b") == (0, 0)
    assert send(2, b"c") == (0, 2)
    assert send(4, b"e")[0] == kafka_errors.OutOfOrderSequenceNumberError.errno
    assert send(3, b"d") == (0, 3)
    assert send(4, b"e", epoch=2)[0] == kafka_errors.InvalidProducerEpochError.errno
    assert send(1, b"e", epoch=4)[0] == kafka_errors.OutOfOrderSequenceNumberError.errno
    assert send(0, b"e", epoch=4) == (0, 4)
    assert [r.value for r in consume(broker, topic, 5)] == [b"a", b"b", b"c", b"d", b"e"]


def test_a_damaged_batch_is_refused(broker, client):
    topic = broker.topic()
    damaged = bytearray(record_batch(b"hello"))
    damaged[-2] ^= 1
    code = kafka_errors.CorruptRecordError.errno
    assert produce_raw(client, topic, bytes(damaged)).error_code == code
    assert produce_raw(client, topic, record_batch(b"hello")).error_code == 0


def test_topics_are_created_described_and_deleted(broker):
    topic = broker.topic(3, {"retention.ms": "86400000", "max.message.bytes": "2000"})
    with pytest.raises(kafka_errors.TopicAlreadyExistsError):
        broker.admin.create_topics([NewTopic(topic, 1, 1)])
    for bad, error in (
        (NewTopic("not/a/name", 1, 1), kafka_errors.InvalidTopicError),
        (NewTopic(unique("t"), 0, 1), kafka_errors.InvalidPartitionsError),
        (NewTopic(unique("t"), 1, 2), kafka_errors.InvalidReplicationFactorError),
        (
            NewTopic(unique("t"), 1, 1, topic_configs={"no.such": "1"}),
            kafka_errors.InvalidConfigurationError,
        ),
        (
            NewTopic(unique("t"), 1, 1, topic_configs={"retention.ms": "soon"}),
            kafka_errors.InvalidConfigurationError,
        ),
    ):
        with pytest.raises(error):
            broker.admin.create_topics([bad])
    wanted = {
        "cleanup.policy": "delete",
        "retention.ms": "86400000",
        "message.timestamp.type": "CreateTime",
        "max.message.bytes": "2000",
    }
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=list(wanted))
    described = broker.admin.describe_configs([resource], config_filter="all")["topic"][topic]
    assert {name: entry["value"] for name, entry in described.items()} == wanted
    assert described["retention.ms"]["config_source"] == "DYNAMIC_TOPIC_CONFIG"
    assert described["cleanup.policy"]["config_source"] == "DEFAULT_CONFIG"
    (found,) = broker.admin.describe_topics([topic])
    assert sorted(p["partition_index"] for p in found["partitions"]) == [0, 1, 2]
    broker.admin.delete_topics([topic])
    assert topic not in broker.admin.list_topics()


def test_a_client_from_the_future_hears_which_versions_there_are(broker):
    # The header of a version that nobody knows yet; v0 of the answer is what all understand.
    with ProtocolClient(broker.bootstrap_servers) as client:
        request = ApiVersionsRequest()
        request.API_VERSION = 4
        request.with_header(correlation_id=7, client_id="test")
        frame = bytearray(request.encode(framed=True, header=True))
        frame[6:8] = (99).to_bytes(2, "big")
        client._socket.sendall(frame)
        answer = client.receive(ApiVersionsResponse, 0)
    assert answer.error_code == kafka_errors.UnsupportedVersionError.errno
