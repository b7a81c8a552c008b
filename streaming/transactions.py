"""Exactly-once: the predictions, dead letters and offsets of a poll are one Kafka transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import TransactionState
from kafka.errors import (
    AuthorizationError,
    FencedInstanceIdError,
    InvalidProducerEpochError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    TransactionalIdNotFoundError,
    UnsupportedVersionError,
)
from kafka.structs import ConsumerGroupMetadata, MemberState, OffsetAndMetadata

from session_rec.errors import UserError
from streaming.config import StreamConfig
from streaming.dead_letters import DeadLetters
from streaming.delivery import Delivery, DeliveryError, left, topics_of
from streaming.fencing import fenced_instance, fenced_producer
from streaming.kafka_clients import GROUP_MOVED_ON, make_admin, patiently
from streaming.outputs import Output

log = logging.getLogger(__name__)

_PAUSE_S = 0.5  #: between two tries
_FENCING = (ProducerFencedError, InvalidProducerEpochError)


def make_delivery(
    config: StreamConfig, consumer: KafkaConsumer, dead_letters: DeadLetters
) -> Delivery:
    """The delivery that the settings ask for.

    Raises:
        UserError: the cluster gives no transactions.
    """
    kind = TransactionalDelivery if config.delivery == "exactly-once" else Delivery
    return kind(config, consumer, dead_letters)


class TransactionalDelivery(Delivery):
    """Writes each batch in a transaction that its offsets end.

    Outputs are kept, as the bytes they are, until the transaction that holds them is committed.
    Whatever goes wrong before, the transaction is aborted and the outputs go into a new one; where
    a commit's own answer is missing, the group's committed offsets tell whether it took place.

    Three times a process may find that it is not alone: its group gave its partitions away (the
    commit is refused, the daemon drops what is no longer its own), another one took its
    ``group_instance_id``, or its transactional id; the latter two end it.
    """

    def __init__(
        self, config: StreamConfig, consumer: KafkaConsumer, dead_letters: DeadLetters
    ) -> None:
        super().__init__(config, consumer, dead_letters)
        self._kept: list[Output] = []
        self._written = False  # all that is kept is in the open transaction, and on the brokers
        self._reason: KafkaError | None = None  # why the batch failed last, if not for time

    def send(self, outputs: Iterable[Output]) -> None:
        """Takes outputs into the batch."""
        self._kept += outputs
        self._written = False

    def settle(self) -> None:
        """Writes the batch into a transaction, until the brokers have all of it.

        Raises:
            DeliveryError: not within ``delivery_timeout_s``.
            Fenced: another process writes under our transactional id.
            UserError: a prediction is larger than its topic takes.
        """
        if self._kept:
            self._write(self._deadline())

    def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commits the batch with these offsets; False where the group moved on without us.

        Raises:
            DeliveryError: the cluster does not take the commit within ``delivery_timeout_s``.
            Fenced: another process uses our ``group_instance_id`` or transactional id.
        """
        deadline = self._deadline()
        while True:
            members = self._consumer.group_metadata()
            if members.state is not MemberState.STABLE:
                # A member that fell out has no generation, and such offsets are not fenced at all.
                return self._moved_on("this process is not in the group at the moment")
            if not self._written:
                self._write(deadline)
            try:
                self._send_offsets(offsets, members, deadline)
            except FencedInstanceIdError:
                raise fenced_instance(self._config) from None
            except GROUP_MOVED_ON as e:
                self._abort(deadline)
                return self._moved_on(e)
            except KafkaError as e:
                self._start_over(e, deadline)
                continue
            try:
                self._end(deadline)
            except KafkaError as e:
                self._start_over(e, deadline)
                if not self._took_place(offsets):
                    continue
            self._kept, self._written, self._refused, self._reason = [], False, False, None
            return True

    def forget(self, source: str) -> None:
        """Drops what is kept of a partition: its next owner makes it again."""
        kept = [output for output in self._kept if output.source != source]
        if len(kept) < len(self._kept):
            if self._written:
                self._abort(self._deadline())
            self._kept = kept

    def _deadline(self) -> float:
        return time.monotonic() + self._config.delivery_timeout_s

    def _write(self, deadline: float) -> None:
        while not self._written:
            try:
                self._producer.begin_transaction()
                self._produce(deadline)
                self._written = True
            except MessageSizeTooLargeError as e:
                self._kept = self._with_largest_smaller(self._kept)
                self._start_over(e, deadline)
            except KafkaError as e:
                self._start_over(e, deadline)

    def _produce(self, deadline: float) -> None:
        """Hands all that is kept to the brokers; raises the reason if one output is not there."""
        producer = self._producer
        futures = [
            producer.send(o.topic, key=o.key, value=o.value, headers=o.headers) for o in self._kept
        ]
        self._flush_client(deadline)
        reasons = [
            future.exception or KafkaTimeoutError("no answer")
            for future in futures
            if not future.succeeded()
        ]
        for reason in reasons:
            if isinstance(reason, MessageSizeTooLargeError):
                raise reason
        if reasons:
            raise reasons[0]

    def _send_offsets(
        self,
        offsets: dict[TopicPartition, OffsetAndMetadata],
        members: ConsumerGroupMetadata,
        deadline: float,
    ) -> None:
        manager = self._producer._transaction_manager
        self._await(lambda: manager.send_offsets_to_transaction(offsets, members), deadline)

    def _end(self, deadline: float) -> None:
        self._await(self._producer._transaction_manager.begin_commit, deadline)

    def _await(self, begin: Callable[[], Any], deadline: float) -> None:
        """What the producer's own methods do, but not without an end."""
        result = begin()
        self._producer._sender.wakeup()
        if not result.wait(timeout_ms=left(deadline) * 1000):
            raise KafkaTimeoutError("no answer")

    def _abort(self, deadline: float) -> None:
        """Ends the transaction without its contents, which stay kept."""
        self._written = False
        manager = self._producer._transaction_manager
        try:
            self._await(manager.begin_abort, deadline)
        except KafkaError as e:
            self._start_over(e, deadline)
        else:
            # kafka-python 3.0.12 would commit refused offsets with those of the next transaction,
            # whoever has the partitions by then.
            manager._pending_txn_offset_commits.clear()

    def _start_over(self, error: KafkaError, deadline: float) -> None:
        """Replaces the producer; the new one's first request aborts what the old one left open.

        Raises:
            Fenced: where that would throw out another process.
        """
        self._written = False
        error = self._cause(error)
        if not isinstance(error, KafkaTimeoutError):
            self._reason = error
        if isinstance(error, _FENCING) and not self._timed_out(deadline):
            raise fenced_producer(self._config) from None
        if time.monotonic() >= deadline:
            raise DeliveryError(
                f"{len(self._kept)} messages and their offsets could not be committed within "
                f"{self._config.delivery_timeout_s:g} s ({topics_of(self._kept)}: "
                f"{self._reason or error}); a "
                "restart finds out how the transaction ended; check that the cluster is up, that "
                "the topics exist and that we may write to them"
            ) from None
        log.warning("the transaction failed (%s): writing it again in a new one", error)
        self._close_producer(0)
        time.sleep(_PAUSE_S)
        self._producer = self._make_producer(deadline)

    def _cause(self, error: KafkaError) -> KafkaError:
        """The client says only once why it stopped, and then that it has."""
        last = self._producer._transaction_manager.last_error
        return last if isinstance(last, KafkaError) else error

    def _timed_out(self, deadline: float) -> bool:
        """Whether we were fenced by the cluster itself, which aborts what is open for too long.

        It raises the epoch once to do so. A process that takes over raises it once more, or, if
        nothing was open, leaves no aborted transaction behind.
        """
        ours = self._producer._transaction_manager.producer_id_and_epoch
        name = self._config.transaction_name
        while True:
            try:
                admin = make_admin(self._config.kafka)
                try:
                    found = admin.describe_transactions([name])[name]
                finally:
                    admin.close()
            except (UnsupportedVersionError, TransactionalIdNotFoundError, AuthorizationError):
                return False
            except (KafkaError, UserError) as e:
                if time.monotonic() >= deadline:
                    raise DeliveryError(f"the cluster did not answer in time: {e}") from None
                time.sleep(_PAUSE_S)
                continue
            return (found.producer_id, found.producer_epoch) == (
                ours.producer_id,
                ours.epoch + 1,
            ) and found.state in (
                TransactionState.PREPARE_EPOCH_FENCE,
                TransactionState.PREPARE_ABORT,
                TransactionState.COMPLETE_ABORT,
            )

    def _took_place(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> bool:
        """Whether the group has these offsets; asked once nothing of ours is under way."""
        for tp, entry in offsets.items():

            def ask(left_ms: float, tp: TopicPartition = tp) -> Any:
                return self._consumer.committed(tp, timeout_ms=left_ms)

            found = patiently(ask, self._config.delivery_timeout_s)
            if found is None or found < entry.offset:
                return False
        return True

    def _producer_options(self) -> dict[str, Any]:
        return {
            "transactional_id": self._config.transaction_name,
            "transaction_timeout_ms": round(self._config.transaction_timeout_s * 1000),
        }

    def _make_producer(self, deadline: float | None = None) -> KafkaProducer:
        """A producer that alone writes under our transactional id."""
        patience = time.monotonic() + self._config.kafka.connect_timeout_s
        while True:
            producer = super()._make_producer(deadline)
            # kafka-python 3.0.12 cures errors, being fenced among them, by asking for a new epoch
            # on its own, which may throw out the process that fenced us. We ask, or end.
            producer._transaction_manager._supports_epoch_bump = lambda: False
            try:
                producer.init_transactions()
                return producer
            except KafkaError as e:
                producer.close(timeout=0)
                if deadline is None and (not e.retriable or time.monotonic() >= patience):
                    raise UserError(
                        f"Kafka at {self._config.kafka.servers} gives no transactions to "
                        f"transactional_id {self._config.transaction_name!r}: {e}; check the "
                        "rights to it, transaction.max.timeout.ms and "
                        "transaction.state.log.replication.factor of the brokers"
                    ) from None
                if deadline is not None and time.monotonic() >= deadline:
                    raise DeliveryError(f"no new transaction can be begun: {e}") from None
                log.warning("no new transaction yet: %s", e)
                time.sleep(_PAUSE_S)
