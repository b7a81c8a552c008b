"""Consumers that share a group, each polled by a thread of its own, as in applications.

kafka-python 3.0.12 throws an assignment away that arrives while nobody is inside `poll`: it joins
again, and if it leads the group everybody rebalances, so that two consumers polled in turn by one
thread can go on rebalancing for ever; or, where the join was only to take in new metadata, it does
not even join again and stays without partitions for good. On any broker. Hence the threads, the
long polls, and the metadata before the first join.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from client_contract import TIMEOUT_S, Client, Consumer, Record, Refused
from kafka import errors as kafka_errors


class Member:
    """A consumer that is polled until it is stopped."""

    def __init__(self, client: Client, group: str, topic: str, **options: Any) -> None:
        self.consumer = client.consumer(group, **options)
        self.records: list[Record] = []
        self.consumer.subscribe(topic)
        self._asked: queue.SimpleQueue[tuple[Future[Any], Callable[[Consumer], Any]]] = (
            queue.SimpleQueue()
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()
        client.before_close(self.stop)

    def _poll(self) -> None:
        while not self._stopped.is_set():
            self.records += self.consumer.poll(0.3)
            while not self._asked.empty():
                answer, what = self._asked.get()
                try:
                    answer.set_result(what(self.consumer))
                except Exception as e:
                    answer.set_exception(e)

    def ask(self, what: Callable[[Consumer], Any]) -> Any:
        """Calls it on the polling thread: confluent-kafka holds the GIL in calls beside a poll."""
        answer: Future[Any] = Future()
        self._asked.put((answer, what))
        return answer.result(TIMEOUT_S)

    def commit(self, topic: str, offsets: Mapping[int, tuple[int, str]]) -> None:
        """Commits once no rebalance is under way."""

        def done() -> bool:
            try:
                self.ask(lambda consumer: consumer.commit(topic, offsets))
            except Refused as e:
                assert e.code == kafka_errors.RebalanceInProgressError.errno
                return False
            return True

        wait_for(done)

    @property
    def partitions(self) -> set[int]:
        return self.consumer.partitions

    def stop(self) -> Consumer:
        """Ends the polling; the consumer is then the caller's to use and to close."""
        self._stopped.set()
        self._thread.join()
        return self.consumer


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
