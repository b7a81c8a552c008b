"""Consumers that share a group, each polled by a thread of its own.

kafka-python 3.0.12 throws an assignment away that arrives while nobody is inside `poll`: it joins
again, and if it leads the group everybody rebalances, so that two consumers polled in turn by one
thread can go on rebalancing for ever; or, where the join was only to take in new metadata, it does
not even join again and stays without partitions for good. On any broker. Hence the threads, the
long polls, and the metadata before the first join.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer


class Polled:
    """A consumer that is polled in a thread of its own, as in an application, until stopped."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self.consumer = consumer
        self.records: list[Any] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _poll(self) -> None:
        while not self._stopped.is_set():
            for records in self.consumer.poll(timeout_ms=500).values():
                self.records += records

    @property
    def partitions(self) -> set[int]:
        return {partition.partition for partition in self.consumer.assignment()}

    def stop(self) -> KafkaConsumer:
        """Ends the polling; the consumer is then the caller's to use and to close."""
        self._stopped.set()
        self._thread.join()
        return self.consumer


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
