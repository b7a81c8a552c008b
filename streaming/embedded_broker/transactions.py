"""Producer ids and transactions (Apache Kafka's TransactionCoordinator, transaction version 1)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from kafka import errors as kafka_errors

from .group_coordinator import GroupCoordinator
from .group_offsets import TopicPartition
from .settings import BrokerSettings
from .topics import Topics, now_ms

_LAST_EPOCH = 32766  # the highest one is kept for fencing


class _State(Enum):
    EMPTY = "Empty"
    ONGOING = "Ongoing"
    COMMITTED = "CompleteCommit"
    ABORTED = "CompleteAbort"


@dataclass(slots=True)
class Transaction:
    """The one transaction that a transactional id may have open."""

    producer_id: int
    epoch: int
    timeout_ms: int
    last_epoch: int = -1  # the one that the producer named when it asked for the present one
    state: _State = _State.EMPTY
    partitions: set[TopicPartition] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None


class TransactionCoordinator:
    """Hands out producer ids, fences old producers by epoch, ends transactions."""

    def __init__(self, settings: BrokerSettings, topics: Topics, groups: GroupCoordinator) -> None:
        self._settings = settings
        self._topics = topics
        self._groups = groups
        self._transactions: dict[str, Transaction] = {}
        self._next_producer_id = 0

    def init_producer(
        self, transactional_id: str | None, timeout_ms: int, producer_id: int, epoch: int
    ) -> tuple[int, int]:
        """(producer id, epoch) for a new or returning producer.

        Without a transactional id every call gives a new producer id. With one, the epoch rises,
        an open transaction is aborted and every older producer is fenced. Raises
        ProducerFencedError if `producer_id` and `epoch` (where given) are no longer the newest,
        InvalidTransactionTimeoutError.
        """
        if transactional_id is None:
            return self._new_producer_id(), 0
        if not transactional_id:
            raise kafka_errors.InvalidRequestError("The transactional id must not be empty")
        if not 0 < timeout_ms <= self._settings.max_transaction_timeout_ms:
            raise kafka_errors.InvalidTransactionTimeoutError()
        transaction = self._transactions.get(transactional_id)
        if transaction is None:
            # Where one is given it is not looked at: its transactional id may have expired.
            transaction = Transaction(self._new_producer_id(), 0, timeout_ms)
            self._transactions[transactional_id] = transaction
            return transaction.producer_id, transaction.epoch
        if producer_id >= 0 and producer_id != transaction.producer_id:
            raise kafka_errors.ProducerFencedError()
        if transaction.state is _State.ONGOING:
            # As in Kafka, even where the epoch turns out to be a stale one.
            self._abort_and_fence(transaction)
        if producer_id >= 0:
            if epoch == transaction.last_epoch:
                return transaction.producer_id, transaction.epoch  # asked again
            if epoch != transaction.epoch:
                raise kafka_errors.ProducerFencedError()
        transaction.last_epoch = epoch
        transaction.timeout_ms = timeout_ms
        transaction.state = _State.EMPTY
        if transaction.epoch >= _LAST_EPOCH:
            transaction.producer_id, transaction.epoch = self._new_producer_id(), 0
        else:
            transaction.epoch += 1
        return transaction.producer_id, transaction.epoch

    def add_partitions(
        self, transactional_id: str, producer_id: int, epoch: int, partitions: set[TopicPartition]
    ) -> None:
        """Opens the transaction if it is not open yet and takes the partitions into it."""
        transaction = self._find(transactional_id, producer_id, epoch)
        self._open(transaction)
        transaction.partitions |= partitions

    def add_group(self, transactional_id: str, producer_id: int, epoch: int, group_id: str) -> None:
        """As add_partitions, for the committed offsets of a group."""
        transaction = self._find(transactional_id, producer_id, epoch)
        self._open(transaction)
        transaction.groups.add(group_id)

    def check_partition(
        self, transactional_id: str | None, producer_id: int, epoch: int, partition: TopicPartition
    ) -> None:
        """Whether a transactional batch may be written now; raises what the producer must see."""
        transaction = self._transactions.get(transactional_id or "")
        if transaction is None or transaction.producer_id != producer_id:
            raise kafka_errors.InvalidProducerIdMappingError()
        if epoch != transaction.epoch:
            raise kafka_errors.InvalidProducerEpochError()
        if transaction.state is not _State.ONGOING or partition not in transaction.partitions:
            raise kafka_errors.InvalidTxnStateError("The partition is not part of the transaction")

    def check_group(
        self, transactional_id: str, producer_id: int, epoch: int, group_id: str
    ) -> None:
        """Whether offsets of the group may be committed in the transaction."""
        transaction = self._find(transactional_id, producer_id, epoch)
        if transaction.state is not _State.ONGOING or group_id not in transaction.groups:
            raise kafka_errors.InvalidTxnStateError("The group is not part of the transaction")

    def end(self, transactional_id: str, producer_id: int, epoch: int, committed: bool) -> None:
        """Commits or aborts; once more the same is no error, the client may not have heard."""
        transaction = self._find(transactional_id, producer_id, epoch)
        if transaction.state is _State.ONGOING:
            self._end(transaction, committed)
            return
        if transaction.state is not (_State.COMMITTED if committed else _State.ABORTED):
            raise kafka_errors.InvalidTxnStateError()

    def close(self) -> None:
        for transaction in self._transactions.values():
            if transaction.timer is not None:
                transaction.timer.cancel()

    def _new_producer_id(self) -> int:
        self._next_producer_id += 1
        return self._next_producer_id - 1

    def _find(self, transactional_id: str, producer_id: int, epoch: int) -> Transaction:
        transaction = self._transactions.get(transactional_id)
        if transaction is None or transaction.producer_id != producer_id:
            raise kafka_errors.InvalidProducerIdMappingError()
        if transaction.epoch != epoch:
            raise kafka_errors.ProducerFencedError()
        return transaction

    def _open(self, transaction: Transaction) -> None:
        if transaction.state is _State.ONGOING:
            return
        transaction.state = _State.ONGOING
        transaction.timer = asyncio.get_running_loop().call_later(
            transaction.timeout_ms / 1000, self._abort_and_fence, transaction
        )

    def _abort_and_fence(self, transaction: Transaction) -> None:
        transaction.epoch += 1
        transaction.last_epoch = -1
        self._end(transaction, committed=False)

    def _end(self, transaction: Transaction, committed: bool) -> None:
        if transaction.timer is not None:
            transaction.timer.cancel()
            transaction.timer = None
        now = now_ms()
        for topic, partition in sorted(transaction.partitions):
            try:
                log = self._topics.log(topic, partition)
            except kafka_errors.UnknownTopicOrPartitionError:
                continue  # the topic was deleted in the meantime
            log.end_transaction(transaction.producer_id, transaction.epoch, committed, now)
        for group_id in transaction.groups:
            self._groups.end_transaction(group_id, transaction.producer_id, committed)
        transaction.partitions.clear()
        transaction.groups.clear()
        transaction.state = _State.COMMITTED if committed else _State.ABORTED
