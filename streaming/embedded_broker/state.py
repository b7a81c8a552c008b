"""What the request handlers work on: topics, groups, transactions, and who asks."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass

from .group_coordinator import GroupCoordinator
from .settings import BrokerSettings
from .topics import Topics
from .transactions import TransactionCoordinator


class BrokerState:
    """Everything the broker keeps, in memory; owned by one event loop."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self.cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode()
        self.port = settings.port  # the real one once the server listens
        self.topics = Topics(settings)
        self.groups = GroupCoordinator(settings)
        self.transactions = TransactionCoordinator(settings, self.topics, self.groups)

    def delete_topic(self, name: str) -> None:
        """Raises UnknownTopicOrPartitionError."""
        self.groups.forget_topic(self.topics.delete(name))

    def close(self) -> None:
        """Stops all timers and lets nobody wait any longer."""
        self.groups.close()
        self.transactions.close()
        for topic in self.topics:
            for log in topic.partitions:
                log.wake()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, and in which version of its API."""

    client_id: str
    host: str
    version: int
