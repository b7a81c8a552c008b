"""Transactions: the same contract for the embedded broker and for Apache Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from broker_fixtures import Broker, unique
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import OffsetSpec
from kafka.protocol.consumer import IsolationLevel, OffsetFetchRequest, OffsetFetchResponse
from kafka.protocol.producer import (
    EndTxnRequest,
    EndTxnResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
    ProduceRequest,
    ProduceResponse,
)
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata
from protocol_client import ProtocolClient, record_batch


class _Producers:
    """Transactional producers of one test, closed at its end."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._open: list[KafkaProducer] = []

    def __call__(self, transactional_id: str, **settings: Any) -> KafkaProducer:
        producer = KafkaProducer(
            bootstrap_servers=self._broker.bootstrap_servers,
            transactional_id=transactional_id,
            **settings,
        )
        producer.init_transactions()
        self._open.append(producer)
        return producer

    def close(self) -> None:
        for producer in self._open:
            producer.close(timeout=2)


@pytest.fixture
def producers(broker: Broker) -> Iterator[_Producers]:
    made = _Producers(broker)
    yield made
    made.close()


def read(broker: Broker, topic: str, isolation: str, wait_for: bytes | None = None) -> list[bytes]:
    """All values of partition 0 that a reader of this isolation level sees now."""
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        isolation_level=isolation,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    end = consumer.end_offsets([partition])[partition]
    values: list[bytes] = []
    deadline = time.monotonic() + 10
    while consumer.position(partition) < end and time.monotonic() < deadline:
        values += [r.value for r in consumer.poll(timeout_ms=100).get(partition, [])]
    consumer.close()
    return values


def test_what_is_aborted_is_invisible(broker, producers):
    topic = broker.topic()
    producer = producers(unique("tx"))
    for value, committed in ((b"1", True), (b"2", False), (b"3", True), (b"4", False)):
        producer.begin_transaction()
        producer.send(topic, value=value)
        producer.flush()
        if committed:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    assert read(broker, topic, "read_committed") == [b"1", b"3"]
    assert read(broker, topic, "read_uncommitted") == [b"1", b"2", b"3", b"4"]
    # Each transaction ends with a marker that takes an offset of its own.
    partition = TopicPartition(topic, 0)
    end = broker.admin.list_partition_offsets({partition: OffsetSpec.LATEST})
    assert end[partition].offset == 8


def test_an_open_transaction_holds_back_what_comes_after_it(broker, producers):
    topic = broker.topic()
    partition = TopicPartition(topic, 0)
    plain = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    producer = producers(unique("tx"))
    plain.send(topic, value=b"before").get(10)
    producer.begin_transaction()
    producer.send(topic, value=b"inside").get(10)
    plain.send(topic, value=b"after").get(10)
    assert read(broker, topic, "read_committed") == [b"before"]
    assert read(broker, topic, "read_uncommitted") == [b"before", b"inside", b"after"]
    for isolation, end in (
        (IsolationLevel.READ_COMMITTED, 1),
        (IsolationLevel.READ_UNCOMMITTED, 3),
    ):
        found = broker.admin.list_partition_offsets({partition: OffsetSpec.LATEST}, isolation)
        assert found[partition].offset == end
    producer.commit_transaction()
    assert read(broker, topic, "read_committed") == [b"before", b"inside", b"after"]
    plain.close()


def test_a_waiting_reader_gets_a_transaction_when_it_commits(broker, producers):
    topic = broker.topic()
    partition = TopicPartition(topic, 0)
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=20_000,
    )
    consumer.assign([partition])
    producer = producers(unique("tx"))
    producer.begin_transaction()
    producer.send(topic, value=b"x").get(10)
    assert consumer.poll(timeout_ms=300) == {}
    producer.commit_transaction()
    begun = time.monotonic()
    assert [r.value for r in consumer.poll(timeout_ms=15_000)[partition]] == [b"x"]
    assert time.monotonic() - begun < 10  # half of the longest wait
    consumer.close()


def test_offsets_are_part_of_the_transaction(broker, producers):
    topic, group = broker.topic(), unique("group")
    partition = TopicPartition(topic, 0)
    # A read_committed consumer waits for offsets whose transaction is just being ended.
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        group_id=group,
        isolation_level="read_committed",
    )
    consumer.assign([partition])
    producer = producers(unique("tx"))
    for offset, ends in ((3, "commit"), (8, "abort"), (5, "commit")):
        producer.begin_transaction()
        producer.send(topic, value=b"x")
        producer.send_offsets_to_transaction(
            {partition: OffsetAndMetadata(offset, f"at {offset}", 0)}, consumer.group_metadata()
        )
        if ends == "commit":
            producer.commit_transaction()
        else:
            producer.abort_transaction()
        found = consumer.committed(partition, metadata=True)
        expected = 3 if ends == "abort" else offset
        assert (found.offset, found.metadata) == (expected, f"at {expected}")
    consumer.close()


def test_offsets_of_an_open_transaction_are_unstable(broker, producers):
    topic, group = broker.topic(), unique("group")
    producer = producers(unique("tx"))
    producer.begin_transaction()
    offsets = {TopicPartition(topic, 0): OffsetAndMetadata(3, "", 0)}
    producer.send_offsets_to_transaction(offsets, ConsumerGroupMetadata(group, -1, "", None))
    Topic = OffsetFetchRequest.OffsetFetchRequestTopic

    def fetch(stable: bool) -> tuple[int, int]:
        request = OffsetFetchRequest(
            group_id=group, topics=[Topic(name=topic, partition_indexes=[0])], require_stable=stable
        )
        with ProtocolClient(broker.bootstrap_servers) as client:
            answer = client.call(request, OffsetFetchResponse, 7).topics[0].partitions[0]
        return answer.error_code, answer.committed_offset

    assert fetch(stable=True) == (kafka_errors.UnstableOffsetCommitError.errno, -1)
    assert fetch(stable=False) == (0, -1)
    producer.commit_transaction()
    deadline = time.monotonic() + 10  # a real broker writes its markers a little later
    while fetch(stable=True)[0] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert fetch(stable=True) == (0, 3)


def test_a_stale_consumer_cannot_commit_in_a_transaction(broker, producers):
    topic, group = broker.topic(), unique("group")
    producer = producers(unique("tx"))
    producer.begin_transaction()
    offsets = {TopicPartition(topic, 0): OffsetAndMetadata(3, "", 0)}
    with pytest.raises(kafka_errors.CommitFailedError):
        producer.send_offsets_to_transaction(offsets, ConsumerGroupMetadata(group, 4, "me", None))
    producer.abort_transaction()


def test_a_second_producer_fences_the_first_and_aborts_its_transaction(broker, producers):
    topic, transactional_id = broker.topic(), unique("tx")
    first = producers(transactional_id)
    first.begin_transaction()
    first.send(topic, value=b"old").get(10)
    second = producers(transactional_id)
    second.begin_transaction()
    second.send(topic, value=b"new").get(10)
    second.commit_transaction()
    with pytest.raises(kafka_errors.KafkaError) as caught:
        first.send(topic, value=b"late").get(10)
        first.commit_transaction()
    assert isinstance(
        caught.value, kafka_errors.ProducerFencedError | kafka_errors.InvalidProducerEpochError
    )
    assert read(broker, topic, "read_committed") == [b"new"]


def test_a_fenced_producer_cannot_begin_again(broker, producers):
    topic, transactional_id = broker.topic(), unique("tx")
    first = producers(transactional_id)
    producers(transactional_id)
    with pytest.raises(kafka_errors.ProducerFencedError):
        first.begin_transaction()
        first.send(topic, value=b"x")
        first.commit_transaction()
    assert read(broker, topic, "read_uncommitted") == []


def test_a_transaction_that_takes_too_long_is_aborted(broker, producers):
    topic = broker.topic()
    producer = producers(unique("tx"), transaction_timeout_ms=1000)
    producer.begin_transaction()
    producer.send(topic, value=b"slow").get(10)
    partition = TopicPartition(topic, 0)
    deadline = time.monotonic() + 30
    while True:
        found = broker.admin.list_partition_offsets(
            {partition: OffsetSpec.LATEST}, IsolationLevel.READ_COMMITTED
        )
        if found[partition].offset == 2:  # the record and the marker
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(kafka_errors.KafkaError):
        producer.commit_transaction()
    assert read(broker, topic, "read_committed") == []


def init_producer(
    client: ProtocolClient,
    transactional_id: str,
    producer_id: int = -1,
    epoch: int = -1,
    timeout_ms: int = 10_000,
) -> Any:
    """The answer to InitProducerId, asked again for as long as the broker wants it."""
    again = {
        kafka_errors.CoordinatorNotAvailableError.errno,
        kafka_errors.CoordinatorLoadInProgressError.errno,
        kafka_errors.NotCoordinatorError.errno,
        kafka_errors.ConcurrentTransactionsError.errno,
    }
    while True:
        request = InitProducerIdRequest(
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            producer_id=producer_id,
            producer_epoch=epoch,
        )
        answer = client.call(request, InitProducerIdResponse, 4)
        if answer.error_code not in again:
            return answer
        time.sleep(0.05)


def test_a_returning_producer_names_its_epoch(broker):
    transactional_id = unique("tx")
    with ProtocolClient(broker.bootstrap_servers) as client:
        made = init_producer(client, transactional_id)
        me, epoch = made.producer_id, made.producer_epoch
        bumped = init_producer(client, transactional_id, me, epoch)
        assert (bumped.error_code, bumped.producer_id) == (0, me)
        assert bumped.producer_epoch == epoch + 1
        repeated = init_producer(client, transactional_id, me, epoch)
        assert (repeated.error_code, repeated.producer_epoch) == (0, epoch + 1)
        newest = init_producer(client, transactional_id).producer_epoch
        assert newest == epoch + 2
        fenced = kafka_errors.ProducerFencedError.errno
        assert init_producer(client, transactional_id, me, epoch).error_code == fenced
        assert init_producer(client, transactional_id, me + 1, 0).error_code == fenced


def test_transactional_requests_out_of_order_are_refused(broker):
    topic, transactional_id = broker.topic(), unique("tx")
    with ProtocolClient(broker.bootstrap_servers) as client:
        made = init_producer(client, transactional_id)
        assert made.error_code == 0

        def end(producer_id: int, epoch: int, name: str = transactional_id) -> int:
            request = EndTxnRequest(
                transactional_id=name, producer_id=producer_id, producer_epoch=epoch, committed=True
            )
            return int(client.call(request, EndTxnResponse, 3).error_code)

        me, epoch = made.producer_id, made.producer_epoch
        assert end(me, epoch) == kafka_errors.InvalidTxnStateError.errno
        assert end(me, epoch + 1) == kafka_errors.ProducerFencedError.errno
        assert end(me + 1, epoch) == kafka_errors.InvalidProducerIdMappingError.errno
        # A transactional batch for a partition that was never added to the transaction.
        Topic = ProduceRequest.TopicProduceData
        batch = record_batch(b"x", producer_id=me, epoch=epoch, sequence=0, transactional=True)
        data = Topic(
            name=topic, partition_data=[Topic.PartitionProduceData(index=0, records=batch)]
        )
        produce = ProduceRequest(
            transactional_id=transactional_id, acks=-1, timeout_ms=5000, topic_data=[data]
        )
        answer = client.call(produce, ProduceResponse, 9).responses[0].partition_responses[0]
        assert answer.error_code == kafka_errors.InvalidTxnStateError.errno
        code = init_producer(client, transactional_id, timeout_ms=10**9).error_code
        assert code == kafka_errors.InvalidTransactionTimeoutError.errno
