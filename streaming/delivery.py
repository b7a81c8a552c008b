"""At-least-once: outputs are kept until the brokers have them, only then are offsets committed.

What exactly-once does differently is in :mod:`streaming.transactions`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import (
    FencedInstanceIdError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    UnknownError,
)
from kafka.structs import OffsetAndMetadata

from session_rec.errors import UserError
from streaming.config import StreamConfig
from streaming.dead_letters import DeadLetters
from streaming.fencing import fenced_instance
from streaming.kafka_clients import GROUP_MOVED_ON, make_producer
from streaming.outputs import Output

log = logging.getLogger(__name__)

#: Seconds after which the client gives a record back to us, so that we may tell and try again.
_CLIENT_TIMEOUT_S = 15.0

#: Seconds after which one try of anything is given up. kafka-python 3.0.12 can lose a request to a
#: broker that goes away, and then waits for its answer for ever: only a new producer helps.
TRY_S = 20.0

#: Every batch ends with a flush, which does not linger: a lone event waits for nothing. Under load
#: records gather meanwhile, for a request costs far more than a record.
_LINGER_MS = 10
_BATCH_BYTES = 65_536
_LEAST_BATCH = 16_384


class DeliveryError(Exception):
    """The outputs of a batch could not be delivered in time; nothing of it was committed."""


def topics_of(outputs: Iterable[Output]) -> str:
    """Their topics, for messages."""
    return "topic " + ", ".join(sorted({repr(output.topic) for output in outputs}))


def left(deadline: float) -> float:
    """Seconds that one try may take."""
    return min(max(deadline - time.monotonic(), 0.1), TRY_S)


class Delivery:
    """Sends the outputs of one batch after another and commits the offsets behind them.

    :meth:`send`, any number of times, then :meth:`settle`, then :meth:`commit`.

    Args:
        config: the daemon's settings.
        consumer: the group's consumer, which commits.
        dead_letters: cuts letters that their topic refuses.
    """

    def __init__(
        self, config: StreamConfig, consumer: KafkaConsumer, dead_letters: DeadLetters
    ) -> None:
        self._config = config
        self._consumer = consumer
        self._dead_letters = dead_letters
        self._producer = self._make_producer()
        self._sent: list[tuple[Output, Any]] = []
        self._failed: list[Output] = []
        self._unreachable: dict[str, str] = {}  # topic: why the client could not even take a record
        self._refused = False  # the last commit; told once, not at every try

    def send(self, outputs: Iterable[Output]) -> None:
        """Hands outputs to the client; they are kept until :meth:`settle`."""
        producer, sent = self._producer, self._sent
        for output in outputs:
            if output.topic in self._unreachable:
                self._failed.append(output)
                continue
            try:
                future = producer.send(
                    output.topic, key=output.key, value=output.value, headers=output.headers
                )
            except MessageSizeTooLargeError:
                self._failed.append(self._smaller(output))
            except KafkaError as e:
                log.warning("cannot send to %s: %s", output.topic, e)
                self._failed.append(output)
                if isinstance(e, KafkaTimeoutError):
                    # The client waited long already: not once more for every other record.
                    self._unreachable[output.topic] = str(e)
            else:
                sent.append((output, future))

    def settle(self) -> None:
        """Waits until the brokers have every output of the batch, sending again what failed.

        Raises:
            DeliveryError: not within ``delivery_timeout_s``.
            UserError: a prediction is larger than its topic takes.
        """
        deadline = time.monotonic() + self._config.delivery_timeout_s
        while self._failed or self._sent:
            reason = self._flush(deadline)
            if not self._failed:
                return
            if time.monotonic() >= deadline:
                raise DeliveryError(
                    f"{len(self._failed)} messages could not be delivered within "
                    f"{self._config.delivery_timeout_s:g} s ({topics_of(self._failed)}: "
                    f"{reason or '; '.join(self._unreachable.values())}); nothing of them is "
                    "committed, a restart goes on where the last commit stands; check that the "
                    "cluster is up, that the topic exists and that we may write to it"
                )
            again, self._failed = self._failed, []
            self._unreachable.clear()
            if reason is not None:
                log.warning(
                    "%d messages were not delivered (%s): sending them again", len(again), reason
                )
                # The idempotent producer cannot go on after a batch of its sequence failed.
                self._close_producer(0)
                time.sleep(0.5)
                self._producer = self._make_producer(deadline)
            self.send(again)

    def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commits exactly these offsets; False where the group moved on without us.

        Raises:
            DeliveryError: the cluster does not take the commit within ``delivery_timeout_s``.
            Fenced: another process uses our ``group_instance_id``.
        """
        deadline = time.monotonic() + self._config.delivery_timeout_s
        while True:
            try:
                self._consumer.commit(offsets, timeout_ms=round(left(deadline) * 1000))
            except FencedInstanceIdError:
                raise fenced_instance(self._config) from None
            except GROUP_MOVED_ON as e:
                return self._moved_on(e)
            except KafkaError as e:
                if not e.retriable or time.monotonic() >= deadline:
                    raise DeliveryError(f"the offsets could not be committed: {e}") from e
                log.warning("not committed yet: %s", e)
                time.sleep(0.5)
            else:
                self._refused = False
                return True

    def forget(self, source: str) -> None:
        """The partition ``topic-partition`` changed hands: nothing of it is to be sent again."""

    def close(self, timeout_s: float) -> None:
        """Closes the producer."""
        self._close_producer(timeout_s)

    def _moved_on(self, why: object) -> bool:
        if not self._refused:
            log.warning("not committed yet, the group rebalances: %s", why)
        self._refused = True
        return False

    def _close_producer(self, timeout_s: float) -> None:
        try:
            self._producer.close(timeout=timeout_s)
        except KafkaError as e:
            # It waits for what is under way before it closes, and gives up on both.
            log.warning("the producer was not closed in time: %s", e)
            self._producer._sender.force_close()

    def _flush(self, deadline: float) -> str | None:
        """Collects what was not delivered into ``_failed``; returns a reason to try anew."""
        reason = None
        try:
            self._flush_client(deadline)
        except KafkaError as e:
            reason = str(e)
        sent, self._sent = self._sent, []
        failed = [(output, future.exception) for output, future in sent if not future.succeeded()]
        if not failed:
            return reason
        self._failed += [output for output, _ in failed]
        if any(isinstance(error, MessageSizeTooLargeError) for _, error in failed):
            self._failed = self._with_largest_smaller(self._failed)
        return reason or str(failed[0][1] or "no answer")

    def _flush_client(self, deadline: float) -> None:
        """The client's flush. A batch that its topic refuses as too large the client sends again in
        pieces, and calls it an unknown error that these are not there yet."""
        while True:
            try:
                self._producer.flush(timeout=left(deadline))
                return
            except UnknownError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)

    def _with_largest_smaller(self, outputs: list[Output]) -> list[Output]:
        """One record too large fails all that the idempotent producer has under way: the largest
        is the one."""
        largest = max(outputs, key=lambda output: len(output.value or b""))
        smaller = self._smaller(largest)
        return [smaller if output is largest else output for output in outputs]

    def _smaller(self, output: Output) -> Output:
        shrunk = None
        if output.topic == self._config.topics.dead_letters:
            shrunk = self._dead_letters.shrink(output)
        if shrunk is None:
            raise UserError(
                f"a message of {len(output.value or b'')} bytes is larger than topic "
                f"{output.topic!r} takes: raise its max.message.bytes or lower k"
            )
        return shrunk

    def _producer_options(self) -> dict[str, Any]:
        return {}

    def _make_producer(self, deadline: float | None = None) -> KafkaProducer:
        timeout_ms = round(min(_CLIENT_TIMEOUT_S, self._config.delivery_timeout_s) * 1000)
        while True:
            try:
                return make_producer(
                    self._config.kafka,
                    delivery_timeout_ms=timeout_ms,
                    request_timeout_ms=min(10_000, timeout_ms // 2),
                    linger_ms=_LINGER_MS,
                    # max.message.bytes bounds a batch, not a record; one too large is sent twice.
                    batch_size=min(_BATCH_BYTES, max(self._dead_letters.max_bytes, _LEAST_BATCH)),
                    max_block_ms=timeout_ms,
                    **self._producer_options(),
                )
            except UserError as e:
                # At start the user is told; while running, the cluster is expected to come back.
                if deadline is None:
                    raise
                if time.monotonic() >= deadline:
                    raise DeliveryError(str(e)) from None
                log.warning("%s", e)
