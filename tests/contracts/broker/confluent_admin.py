"""confluent-kafka: its administration, and what its errors mean to the suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from client_contract import (
    TIMEOUT_S,
    Admin,
    Fenced,
    Refused,
)
from confluent_kafka import (
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourceType,
)

_FENCED = {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}


def raised(error: KafkaError) -> Exception:
    if error.code() in _FENCED or error.fatal():
        return Fenced(error.str())
    return Refused(error.code(), error.str())


@contextmanager
def errors() -> Iterator[None]:
    try:
        yield
    except KafkaException as e:
        raise raised(e.args[0]) from e
    except SystemError as e:
        # The library sets a fatal error and still calls back for the messages that it ended; what
        # such a call returns amid an exception, Python refuses (unless it has sped the call up).
        if not isinstance(e.__cause__, KafkaException):
            raise
        raise raised(e.__cause__.args[0]) from e


class ConfluentAdmin(Admin):
    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin

    def create(
        self,
        topic: str,
        partitions: int = 1,
        configs: Mapping[str, str] | None = None,
        replication: int = 1,
    ) -> None:
        new = NewTopic(topic, partitions, replication, config=dict(configs or {}))
        self._finish(self._admin.create_topics([new]))

    def delete(self, topic: str) -> None:
        self._finish(self._admin.delete_topics([topic]))

    def topics(self) -> dict[str, int]:
        found = self._admin.list_topics(timeout=TIMEOUT_S).topics
        return {name: len(topic.partitions) for name, topic in found.items()}

    def configs(self, topic: str, *names: str) -> dict[str, tuple[str | None, bool]]:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        entries = self._finish(self._admin.describe_configs([resource]))
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {name: (entries[name].value, entries[name].source == own) for name in names}

    def set_config(self, topic: str, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self._finish(self._admin.incremental_alter_configs([resource]))

    def delete_records(self, topic: str, before: int) -> None:
        self._finish(self._admin.delete_records([TopicPartition(topic, 0, before)]))

    def _finish(self, futures: Mapping[Any, Any]) -> Any:
        (future,) = futures.values()
        with errors():
            return future.result(TIMEOUT_S)

    def close(self) -> None:
        self._admin.poll(0)
