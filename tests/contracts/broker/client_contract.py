"""What a Kafka client must do for the suite, whichever library does it.

Each library gets one file that implements these classes. All times are seconds unless a name says
otherwise; record timestamps are ms since the epoch.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from broker_fixtures import Broker

TIMEOUT_S = 20.0

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Record:
    """A record as a consumer got it; `append_time` tells LogAppendTime from CreateTime."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int
    append_time: bool


class Refused(Exception):
    """The broker answered with this error code."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(f"{code} {text}")
        self.code = code


class Fenced(Exception):
    """The client says that a newer producer has taken its place."""


class OffsetLost(Exception):
    """The position is outside of the log and the consumer may not choose another one."""


class Producer(ABC):
    """Sends records and waits for each one's acknowledgement."""

    @abstractmethod
    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int = 0,
        timestamp: int | None = None,
    ) -> int:
        """The offset of the record; raises Refused or Fenced."""

    @abstractmethod
    def send_many(self, topic: str, values: Sequence[bytes], partition: int = 0) -> list[int]:
        """Sends all at once; their offsets."""

    @abstractmethod
    def begin(self) -> None: ...

    @abstractmethod
    def commit(self) -> None: ...

    @abstractmethod
    def abort(self) -> None: ...

    @abstractmethod
    def send_offsets(
        self, topic: str, offsets: Mapping[int, tuple[int, str]], metadata: Any
    ) -> None:
        """Offsets by partition, for the group that `Consumer.group_metadata` names."""

    @abstractmethod
    def close(self) -> None: ...


class Consumer(ABC):
    """Reads one topic; in a group where `subscribe` is called."""

    @abstractmethod
    def assign(self, topic: str, *partitions: int, offset: int | None = 0) -> None:
        """Reads these without a group, from `offset`; None: where the group has committed."""

    @abstractmethod
    def subscribe(self, topic: str) -> None: ...

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Record]:
        """What there is, or what comes first within the time; raises OffsetLost."""

    @property
    @abstractmethod
    def partitions(self) -> set[int]:
        """What is assigned now."""

    @abstractmethod
    def commit(self, topic: str, offsets: Mapping[int, tuple[int, str]]) -> None:
        """Offsets with their metadata, by partition; raises Refused."""

    @abstractmethod
    def committed(self, topic: str, partition: int) -> tuple[int, str] | None: ...

    @abstractmethod
    def group_metadata(self) -> Any:
        """What `Producer.send_offsets` takes: the group, and this member as of now."""

    @abstractmethod
    def offset_for_time(self, topic: str, timestamp: int) -> int | None: ...

    @abstractmethod
    def bounds(self, topic: str) -> tuple[int, int]:
        """First offset of partition 0 and the one after its last."""

    @abstractmethod
    def read_all(self) -> list[Record]:
        """What there is up to the end that this consumer may read, aborted records passed by."""

    @abstractmethod
    def close(self) -> None: ...

    def read(self, count: int) -> list[Record]:
        """`count` records or more, or what came of them within 20 s."""
        records: list[Record] = []
        deadline = time.monotonic() + TIMEOUT_S
        while len(records) < count and time.monotonic() < deadline:
            records += self.poll(0.2)
        return records


class Admin(ABC):
    """Topics and their configurations; everything raises Refused."""

    @abstractmethod
    def create(
        self,
        topic: str,
        partitions: int = 1,
        configs: Mapping[str, str] | None = None,
        replication: int = 1,
    ) -> None: ...

    @abstractmethod
    def delete(self, topic: str) -> None: ...

    @abstractmethod
    def topics(self) -> dict[str, int]:
        """Name -> number of partitions."""

    @abstractmethod
    def configs(self, topic: str, *names: str) -> dict[str, tuple[str | None, bool]]:
        """Name -> (value, whether it was set on this topic)."""

    @abstractmethod
    def set_config(self, topic: str, name: str, value: str) -> None: ...

    @abstractmethod
    def delete_records(self, topic: str, before: int) -> None:
        """Makes `before` the first offset of partition 0."""

    @abstractmethod
    def close(self) -> None: ...


class Client(ABC):
    """One library on one broker; closes at the end what it made."""

    name: str
    codecs: tuple[str, ...]  #: compressions that it can write here
    writes_null_headers: bool

    def __init__(self, broker: Broker) -> None:
        self.servers = broker.bootstrap_servers
        self._made = ExitStack()

    def producer(self, transactional_id: str | None = None, **options: Any) -> Producer:
        """A producer; with a transactional id it has initialised its transactions.

        Options: compression, idempotent, transaction_timeout_ms.
        """
        made = self._producer(transactional_id, **options)
        self._made.callback(made.close)
        return made

    def consumer(self, group: str | None = None, **options: Any) -> Consumer:
        """A consumer from the earliest offset, without automatic commits.

        Options: committed_only, reset ("earliest", "none"), instance, max_wait_ms, eager.
        """
        made = self._consumer(group, **options)
        self._made.callback(made.close)
        return made

    def admin(self) -> Admin:
        made = self._admin()
        self._made.callback(made.close)
        return made

    def before_close(self, action: Callable[[], Any]) -> None:
        """Has this done before anything is closed that was made until now."""
        self._made.callback(action)

    def close(self) -> None:
        self._made.close()

    @abstractmethod
    def _producer(
        self,
        transactional_id: str | None,
        compression: str = "none",
        idempotent: bool = False,
        transaction_timeout_ms: int = 60_000,
    ) -> Producer: ...

    @abstractmethod
    def _consumer(
        self,
        group: str | None,
        committed_only: bool = False,
        reset: str = "earliest",
        instance: str | None = None,
        max_wait_ms: int = 50,
        eager: bool = False,
    ) -> Consumer: ...

    @abstractmethod
    def _admin(self) -> Admin: ...
