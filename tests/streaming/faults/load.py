"""A shop whose visitors never stop clicking."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

from kafka import KafkaProducer
from stream_support import Raw, Stage, click

_TICK_S = 0.05


def visitors(seed: int, sessions: int = 240) -> Iterator[Raw]:
    """Key, value and record timestamp of click events, without an end: interleaved sessions, with
    late and out-of-order events, duplicates, unknown items, erasures and messages that cannot be
    used among them."""
    rng = random.Random(seed)
    now = 1_700_000_000_000
    while True:
        now += rng.choice([0, 20, 50, 100, 200, 400])
        session = f"s{rng.randrange(sessions)}"
        ts = now - rng.choice([0] * 12 + [3_000, 15_000, 25_000])
        item = f"i{rng.randrange(12):02d}" if rng.random() < 0.95 else "unheard-of"
        event = click(session, item, ts, now)
        yield event
        chance = rng.random()
        if chance < 0.03:
            yield event
        elif chance < 0.04:
            yield session.encode(), None, now
        elif chance < 0.06:
            yield session.encode(), rng.choice([b"", b"{", b"\xff", b"[1]", b'{"ts": 1}']), now


class Feeder:
    """Produces events at a steady rate, on a thread of its own; waits while the broker is away."""

    def __init__(self, stage: Stage, seed: int, per_second: float) -> None:
        self._events = visitors(seed)
        self._topic = stage.events
        self._per_second = per_second
        self._ending = threading.Event()
        self._producer = KafkaProducer(
            bootstrap_servers=stage.broker.bootstrap_servers,
            acks="all",
            delivery_timeout_ms=600_000,
            max_block_ms=600_000,
            **stage.broker.security,
        )
        self.sent = 0
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Ends the load; all that was sent is with the broker."""
        self._ending.set()
        self._thread.join()
        self._producer.flush(timeout=300)
        self._producer.close(timeout=30)

    def _feed(self) -> None:
        began = time.monotonic()
        while not self._ending.wait(_TICK_S):
            # What the broker's absence held up is not made good: a load, not a backlog.
            due = min((time.monotonic() - began) * self._per_second, self._per_second)
            began = time.monotonic()
            for _ in range(max(round(due), 1)):
                key, value, timestamp = next(self._events)
                self._producer.send(self._topic, key=key, value=value, timestamp_ms=timestamp)
                self.sent += 1
