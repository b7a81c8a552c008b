"""Topics and their partitions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

from kafka import errors as kafka_errors

from .partition_log import PartitionLog
from .settings import BrokerSettings
from .topic_config import TopicConfig, check_topic_name


def now_ms() -> int:
    """Wall clock, ms since the epoch."""
    return time.time_ns() // 1_000_000


class Topic:
    """A name, an id, a configuration and one log per partition."""

    def __init__(self, name: str, partitions: int, config: TopicConfig) -> None:
        self.name = name
        self.id = uuid.uuid4()
        self.config = config
        self.partitions = [PartitionLog(config) for _ in range(partitions)]

    def grow(self, total: int) -> None:
        """Adds partitions up to `total`; raises InvalidPartitionsError if it would not grow."""
        if total <= len(self.partitions):
            raise kafka_errors.InvalidPartitionsError(
                f"The topic {self.name} currently has {len(self.partitions)} partition(s);"
                f" {total} would not be an increase"
            )
        missing = total - len(self.partitions)
        self.partitions.extend(PartitionLog(self.config) for _ in range(missing))


class Topics:
    """All topics of the broker."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._topics: dict[str, Topic] = {}

    def __iter__(self) -> Iterator[Topic]:
        return iter(list(self._topics.values()))

    def create(
        self,
        name: str | None,
        partitions: int = -1,
        configs: dict[str, str] | None = None,
        validate_only: bool = False,
    ) -> Topic:
        """A new topic; -1 partitions means the broker's default.

        Raises TopicAlreadyExistsError, InvalidTopicError, InvalidPartitionsError or
        InvalidConfigurationError.
        """
        check_topic_name(name)
        assert name is not None
        if name in self._topics:
            raise kafka_errors.TopicAlreadyExistsError(f"Topic '{name}' already exists.")
        if partitions == -1:
            partitions = self._settings.default_partitions
        if partitions < 1:
            raise kafka_errors.InvalidPartitionsError(
                "Number of partitions was set to an invalid non-positive value."
            )
        topic = Topic(name, partitions, TopicConfig(self._settings, configs or {}))
        if not validate_only:
            self._topics[name] = topic
        return topic

    def get(self, name: str) -> Topic:
        """Raises UnknownTopicOrPartitionError."""
        topic = self._topics.get(name)
        if topic is None:
            raise kafka_errors.UnknownTopicOrPartitionError(
                "This server does not host this topic-partition."
            )
        return topic

    def by_id(self, topic_id: uuid.UUID) -> Topic:
        """Raises UnknownTopicIdError."""
        for topic in self._topics.values():
            if topic.id == topic_id:
                return topic
        raise kafka_errors.UnknownTopicIdError(f"This server does not host topic id {topic_id}.")

    def log(self, name: str, partition: int) -> PartitionLog:
        """Raises UnknownTopicOrPartitionError."""
        partitions = self.get(name).partitions
        if not 0 <= partition < len(partitions):
            raise kafka_errors.UnknownTopicOrPartitionError(
                "This server does not host this topic-partition."
            )
        return partitions[partition]

    def delete(self, name: str) -> Topic:
        """Removes the topic; whoever waits on it wakes and finds it unknown."""
        topic = self.get(name)
        del self._topics[name]
        for log in topic.partitions:
            log.wake()
        return topic

    def enforce_retention(self) -> None:
        """Applies the retention of every topic as of now."""
        now = now_ms()
        for topic in self:
            for log in topic.partitions:
                log.enforce_retention(now)
