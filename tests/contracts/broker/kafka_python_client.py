"""kafka-python, the library of the daemon, as a client of the suite."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from client_contract import (
    TIMEOUT_S,
    Admin,
    Client,
    Consumer,
    Fenced,
    Headers,
    OffsetLost,
    Producer,
    Record,
    Refused,
)
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (kafka_errors.ProducerFencedError, kafka_errors.InvalidProducerEpochError) as e:
        raise Fenced(str(e)) from e
    except kafka_errors.CommitFailedError as e:  # what it makes of a stale generation or member
        raise Refused(kafka_errors.IllegalGenerationError.errno, str(e)) from e
    except kafka_errors.BrokerResponseError as e:
        raise Refused(e.errno, str(e)) from e


class _Producer(Producer):
    def __init__(self, producer: KafkaProducer) -> None:
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
        with _errors():
            future = self._producer.send(
                topic,
                value=value,
                key=key,
                headers=list(headers),
                partition=partition,
                timestamp_ms=timestamp,
            )
            return int(future.get(TIMEOUT_S).offset)

    def send_many(self, topic: str, values: Sequence[bytes], partition: int = 0) -> list[int]:
        with _errors():
            sent = [self._producer.send(topic, value=v, partition=partition) for v in values]
            return [int(future.get(TIMEOUT_S).offset) for future in sent]

    def begin(self) -> None:
        with _errors():
            self._producer.begin_transaction()

    def commit(self) -> None:
        with _errors():
            self._producer.commit_transaction()

    def abort(self) -> None:
        with _errors():
            self._producer.abort_transaction()

    def send_offsets(
        self, topic: str, offsets: Mapping[int, tuple[int, str]], metadata: Any
    ) -> None:
        with _errors():
            self._producer.send_offsets_to_transaction(_offsets(topic, offsets), metadata)

    def close(self) -> None:
        self._producer.close(timeout=2)


class _Consumer(Consumer):
    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def assign(self, topic: str, *partitions: int, offset: int | None = 0) -> None:
        assigned = [TopicPartition(topic, index) for index in partitions or (0,)]
        self._consumer.assign(assigned)
        if offset is not None:
            for partition in assigned:
                self._consumer.seek(partition, offset)

    def subscribe(self, topic: str) -> None:
        # It throws away an assignment that arrives while it takes in new metadata: see Member.
        self._consumer.partitions_for_topic(topic)
        self._consumer.subscribe([topic])

    def poll(self, timeout_s: float) -> list[Record]:
        try:
            polled = self._consumer.poll(timeout_ms=round(timeout_s * 1000))
        except kafka_errors.OffsetOutOfRangeError as e:
            raise OffsetLost(str(e)) from e
        return [
            Record(
                r.partition,
                r.offset,
                r.key,
                r.value,
                list(r.headers),
                r.timestamp,
                r.timestamp_type == 1,
            )
            for records in polled.values()
            for r in records
        ]

    @property
    def partitions(self) -> set[int]:
        return {partition.partition for partition in self._consumer.assignment()}

    def commit(self, topic: str, offsets: Mapping[int, tuple[int, str]]) -> None:
        with _errors():
            self._consumer.commit(_offsets(topic, offsets))

    def committed(self, topic: str, partition: int) -> tuple[int, str] | None:
        found = self._consumer.committed(TopicPartition(topic, partition), metadata=True)
        return None if found is None else (found.offset, found.metadata)

    def group_metadata(self) -> Any:
        return self._consumer.group_metadata()

    def offset_for_time(self, topic: str, timestamp: int) -> int | None:
        partition = TopicPartition(topic, 0)
        found = self._consumer.offsets_for_times({partition: timestamp})[partition]
        return None if found is None else found.offset

    def bounds(self, topic: str) -> tuple[int, int]:
        partition = TopicPartition(topic, 0)
        begin = self._consumer.beginning_offsets([partition])[partition]
        return begin, self._consumer.end_offsets([partition])[partition]

    def read_all(self) -> list[Record]:
        (partition,) = self._consumer.assignment()
        end = self._consumer.end_offsets([partition])[partition]
        records: list[Record] = []
        deadline = time.monotonic() + TIMEOUT_S
        while self._consumer.position(partition) < end:
            assert time.monotonic() < deadline
            records += self.poll(0.2)
        return records

    def close(self) -> None:
        self._consumer.close(autocommit=False)


class _Admin(Admin):
    def __init__(self, admin: KafkaAdminClient) -> None:
        self._admin = admin

    def create(
        self,
        topic: str,
        partitions: int = 1,
        configs: Mapping[str, str] | None = None,
        replication: int = 1,
    ) -> None:
        new = NewTopic(topic, partitions, replication, topic_configs=dict(configs or {}))
        with _errors():
            self._admin.create_topics([new])

    def delete(self, topic: str) -> None:
        with _errors():
            self._admin.delete_topics([topic])

    def topics(self) -> dict[str, int]:
        described = self._admin.describe_topics(self._admin.list_topics())
        return {topic["name"]: len(topic["partitions"]) for topic in described}

    def configs(self, topic: str, *names: str) -> dict[str, tuple[str | None, bool]]:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=list(names))
        with _errors():
            found = self._admin.describe_configs([resource], config_filter="all")["topic"][topic]
        return {
            name: (entry["value"], entry["config_source"] == "DYNAMIC_TOPIC_CONFIG")
            for name, entry in found.items()
        }

    def set_config(self, topic: str, name: str, value: str) -> None:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={name: value})
        with _errors():
            result = self._admin.alter_configs([resource])["topic"][topic]
        if result != "OK":  # a text, such as "[Error 40] InvalidConfigurationError: …"
            raise Refused(int(result.removeprefix("[Error ").partition("]")[0]), result)

    def delete_records(self, topic: str, before: int) -> None:
        with _errors():
            self._admin.delete_records({TopicPartition(topic, 0): before})

    def close(self) -> None:
        self._admin.close()


class KafkaPythonClient(Client):
    name = "kafka-python"
    codecs = ("none", "gzip", "lz4", "zstd", "snappy")
    writes_null_headers = False

    def _producer(
        self,
        transactional_id: str | None,
        compression: str = "none",
        idempotent: bool = False,
        transaction_timeout_ms: int = 60_000,
    ) -> Producer:
        producer = KafkaProducer(
            bootstrap_servers=self.servers,
            acks="all",
            enable_idempotence=idempotent or transactional_id is not None,
            compression_type=None if compression == "none" else compression,
            transactional_id=transactional_id,
            transaction_timeout_ms=transaction_timeout_ms,
        )
        if transactional_id is not None:
            producer.init_transactions()
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
        return _Consumer(
            KafkaConsumer(
                bootstrap_servers=self.servers,
                group_id=group,
                group_instance_id=instance,
                auto_offset_reset=reset,
                enable_auto_commit=False,
                isolation_level="read_committed" if committed_only else "read_uncommitted",
                fetch_max_wait_ms=max_wait_ms,
                heartbeat_interval_ms=200,
                partition_assignment_strategy=[
                    RangePartitionAssignor if eager else CooperativeStickyAssignor
                ],
            )
        )

    def _admin(self) -> Admin:
        return _Admin(KafkaAdminClient(bootstrap_servers=self.servers))


def _offsets(
    topic: str, offsets: Mapping[int, tuple[int, str]]
) -> dict[TopicPartition, OffsetAndMetadata]:
    return {
        TopicPartition(topic, index): OffsetAndMetadata(offset, metadata, -1)
        for index, (offset, metadata) in offsets.items()
    }
