"""The embedded broker in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from .server import BrokerServer
from .settings import BrokerSettings

_STOP_TIMEOUT_S = 10.0


class EmbeddedBroker:
    """An in-memory Kafka on 127.0.0.1 for as long as the `with` block lasts.

        with EmbeddedBroker(topics={"events": 4}) as broker:
            KafkaProducer(bootstrap_servers=broker.bootstrap_servers)

    `topics` maps names to numbers of partitions; `port` 0 takes a free one; every other keyword
    is a field of `BrokerSettings` (retention_bytes, retention_ms, auto_create_topics …). Raises
    session_rec.errors.UserError where the port is taken and kafka.errors where a topic is not
    one that Kafka would create.
    """

    def __init__(self, topics: Mapping[str, int] | None = None, **settings: Any) -> None:
        self._topics = dict(topics or {})
        self._server = BrokerServer(BrokerSettings(**settings))
        # It ends what is still under way, such as a connection that came while the broker stopped.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="embedded-broker", daemon=True
        )

    @property
    def bootstrap_servers(self) -> str:
        """host:port for clients."""
        return self._server.bootstrap_servers

    def __enter__(self) -> EmbeddedBroker:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listens and creates the topics."""
        self._thread.start()
        try:
            self._call(self._server.start())
            for name, partitions in self._topics.items():
                self.create_topic(name, partitions)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Closes all connections and ends the thread; a second call does nothing."""
        if self._loop.is_closed():
            return
        self._call(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_TIMEOUT_S)
        self._runner.close()

    def create_topic(
        self, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None
    ) -> None:
        """Raises what CreateTopics would answer, for example TopicAlreadyExistsError."""

        async def create() -> None:
            self._server.state.topics.create(name, partitions, dict(configs or {}))

        self._call(create())

    def _call(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_STOP_TIMEOUT_S)
