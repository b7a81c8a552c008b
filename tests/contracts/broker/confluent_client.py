"""confluent-kafka (librdkafka) as a client of the suite: Kafka, and not merely kafka-python."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from client_contract import (
    TIMEOUT_S,
    Admin,
    Client,
    Consumer,
    Headers,
    OffsetLost,
    Producer,
    Record,
)
from confluent_admin import ConfluentAdmin, errors, raised
from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka import Consumer as LibConsumer
from confluent_kafka import Producer as LibProducer
from confluent_kafka.admin import (
    AdminClient,
)

_NO_OFFSET = -1001


class _Producer(Producer):
    def __init__(self, producer: LibProducer) -> None:
        self._producer = producer

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int = 0,
        timestamp: int | None = None,
    ) -> int:
        return self._sent(
            topic,
            [value],
            key=key,
            headers=list(headers),
            partition=partition,
            timestamp=timestamp or 0,
        )[0]

    def send_many(self, topic: str, values: Sequence[bytes], partition: int = 0) -> list[int]:
        return self._sent(topic, values, partition=partition)

    def _sent(self, topic: str, values: Sequence[bytes | None], **options: Any) -> list[int]:
        reports: list[tuple[KafkaError | None, Message]] = []
        with errors():
            for value in values:
                self._producer.produce(
                    topic,
                    value=value,
                    on_delivery=lambda error, message: reports.append((error, message)),
                    **options,
                )
            assert self._producer.flush(TIMEOUT_S) == 0
        for error, _ in reports:
            if error is not None:
                raise raised(error)
        return [message.offset() for _, message in reports]

    def begin(self) -> None:
        with errors():
            self._producer.begin_transaction()

    def commit(self) -> None:
        with errors():
            self._producer.commit_transaction(TIMEOUT_S)

    def abort(self) -> None:
        with errors():
            self._producer.abort_transaction(TIMEOUT_S)

    def send_offsets(
        self, topic: str, offsets: Mapping[int, tuple[int, str]], metadata: Any
    ) -> None:
        with errors():
            self._producer.send_offsets_to_transaction(_offsets(topic, offsets), metadata)

    def close(self) -> None:
        with suppress(KafkaException):  # a fenced one says so once more
            self._producer.flush(0)
        del self._producer  # its threads end with it


class _Consumer(Consumer):
    def __init__(self, consumer: LibConsumer) -> None:
        self._consumer = consumer
        self._at_end = False
        self._partitions: set[int] = set()

    def assign(self, topic: str, *partitions: int, offset: int | None = 0) -> None:
        start = _NO_OFFSET if offset is None else offset
        self._consumer.assign([TopicPartition(topic, i, start) for i in partitions or (0,)])

    def subscribe(self, topic: str) -> None:
        def take(consumer: LibConsumer, partitions: list[TopicPartition]) -> None:
            self._partitions = self._partitions | {p.partition for p in partitions}

        def give(consumer: LibConsumer, partitions: list[TopicPartition]) -> None:
            self._partitions = self._partitions - {p.partition for p in partitions}

        self._consumer.subscribe([topic], on_assign=take, on_revoke=give, on_lost=give)

    def poll(self, timeout_s: float) -> list[Record]:
        deadline = time.monotonic() + timeout_s
        messages: list[Message] = []
        while not messages and (left := deadline - time.monotonic()) > 0:
            # `consume` would wait for all the records it is asked for.
            first = self._consumer.poll(left)
            if first is not None:
                messages = self._checked([first, *self._consumer.consume(500, 0)])
        return [
            Record(
                m.partition(),
                m.offset(),
                m.key(),
                m.value(),
                m.headers() or [],
                m.timestamp()[1],
                m.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME,
            )
            for m in messages
        ]

    def _checked(self, messages: list[Message]) -> list[Message]:
        """Those with a record in them."""
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._at_end = True
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise OffsetLost(error.str())
            else:
                raise raised(error)
        return records

    @property
    def partitions(self) -> set[int]:
        # Not `assignment`: beside a poll in another thread it waits for ever, holding the GIL.
        return self._partitions

    def commit(self, topic: str, offsets: Mapping[int, tuple[int, str]]) -> None:
        with errors():
            done = self._consumer.commit(offsets=_offsets(topic, offsets), asynchronous=False)
        for partition in done:
            if partition.error is not None:
                raise raised(partition.error)

    def committed(self, topic: str, partition: int) -> tuple[int, str] | None:
        with errors():
            (found,) = self._consumer.committed([TopicPartition(topic, partition)], TIMEOUT_S)
        return None if found.offset == _NO_OFFSET else (found.offset, found.metadata or "")

    def group_metadata(self) -> Any:
        return self._consumer.consumer_group_metadata()

    def offset_for_time(self, topic: str, timestamp: int) -> int | None:
        wanted = [TopicPartition(topic, 0, timestamp)]
        (found,) = self._consumer.offsets_for_times(wanted, TIMEOUT_S)
        return found.offset if found.offset >= 0 else None

    def bounds(self, topic: str) -> tuple[int, int]:
        begin, end = self._consumer.get_watermark_offsets(TopicPartition(topic, 0), TIMEOUT_S)
        return begin, end

    def read_all(self) -> list[Record]:
        records: list[Record] = []
        deadline = time.monotonic() + TIMEOUT_S
        while not self._at_end:
            assert time.monotonic() < deadline
            records += self.poll(0.05)
        return records

    def close(self) -> None:
        self._consumer.close()


class ConfluentClient(Client):
    name = "confluent-kafka"
    codecs = ("none", "gzip", "lz4", "zstd", "snappy")
    writes_null_headers = True

    def _producer(
        self,
        transactional_id: str | None,
        compression: str = "none",
        idempotent: bool = False,
        transaction_timeout_ms: int = 60_000,
    ) -> Producer:
        settings: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "linger.ms": 0,
            "log_level": 0,
            "compression.type": compression,
            "enable.idempotence": idempotent or transactional_id is not None,
        }
        if transactional_id is not None:
            settings["transactional.id"] = transactional_id
            settings["transaction.timeout.ms"] = transaction_timeout_ms
        producer = LibProducer(settings)
        if transactional_id is not None:
            producer.init_transactions(TIMEOUT_S)
        return _Producer(producer)

    def _consumer(
        self,
        group: str | None,
        committed_only: bool = False,
        reset: str = "earliest",
        instance: str | None = None,
        max_wait_ms: int = 50,
        eager: bool = False,
    ) -> Consumer:
        settings = {
            "bootstrap.servers": self.servers,
            "group.id": group or "none",
            "auto.offset.reset": "error" if reset == "none" else reset,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
            "isolation.level": "read_committed" if committed_only else "read_uncommitted",
            "fetch.wait.max.ms": max_wait_ms,
            "heartbeat.interval.ms": 200,
            "partition.assignment.strategy": "range" if eager else "cooperative-sticky",
        }
        if instance is not None:
            settings["group.instance.id"] = instance
        return _Consumer(LibConsumer(settings))

    def _admin(self) -> Admin:
        return ConfluentAdmin(AdminClient({"bootstrap.servers": self.servers, "log_level": 0}))


def _offsets(topic: str, offsets: Mapping[int, tuple[int, str]]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, index, offset, metadata)
        for index, (offset, metadata) in offsets.items()
    ]
