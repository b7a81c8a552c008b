"""Transactions as requests: epochs, order, and what each wrong step is answered with."""

from __future__ import annotations

from broker_fixtures import Broker, unique
from kafka import errors as kafka_errors
from members import wait_for
from protocol_client import ProtocolClient, record_batch
from raw_groups import committed
from raw_records import fetch, list_offset, produce
from raw_requests import OK
from raw_transactions import (
    add_group,
    add_partition,
    commit_in_transaction,
    end_transaction,
    init_producer,
)

FENCED = kafka_errors.ProducerFencedError.errno
OLD_EPOCH = kafka_errors.InvalidProducerEpochError.errno
UNMAPPED = kafka_errors.InvalidProducerIdMappingError.errno
WRONG_STATE = kafka_errors.InvalidTxnStateError.errno
COMMITTED = 1
LATEST = -1


def test_a_returning_producer_names_its_epoch(broker: Broker, wire: ProtocolClient) -> None:
    name = unique("tx")
    made = init_producer(wire, name)
    me, epoch = made.producer_id, made.producer_epoch
    bumped = init_producer(wire, name, me, epoch)
    assert (bumped.error_code, bumped.producer_id) == (OK, me)
    assert bumped.producer_epoch == epoch + 1
    repeated = init_producer(wire, name, me, epoch)
    assert (repeated.error_code, repeated.producer_epoch) == (OK, epoch + 1)
    newest = init_producer(wire, name).producer_epoch
    assert newest == epoch + 2
    assert init_producer(wire, name, me, epoch).error_code == FENCED
    assert init_producer(wire, name, me + 1, 0).error_code == FENCED


def test_steps_out_of_order_are_refused(broker: Broker, wire: ProtocolClient) -> None:
    topic, group, name = broker.topic(), unique("group"), unique("tx")
    made = init_producer(wire, name)
    me, epoch = made.producer_id, made.producer_epoch
    assert end_transaction(wire, name, me, epoch) == WRONG_STATE
    assert end_transaction(wire, name, me, epoch + 1) == FENCED
    assert end_transaction(wire, name, me + 1, epoch) == UNMAPPED
    assert add_partition(wire, unique("other"), me, epoch, topic) == UNMAPPED
    # A batch, and offsets, for what was never added to the transaction.
    batch = record_batch(b"x", producer_id=me, epoch=epoch, sequence=0, transactional=True)
    assert produce(wire, topic, batch, transactional_id=name).error_code == WRONG_STATE
    assert commit_in_transaction(wire, name, me, epoch, group, topic, 3) == WRONG_STATE
    too_long = init_producer(wire, name, timeout_ms=10**9).error_code
    assert too_long == kafka_errors.InvalidTransactionTimeoutError.errno
    no_such = kafka_errors.UnknownTopicOrPartitionError.errno
    assert add_partition(wire, name, me, epoch, topic, 7) == no_such


def test_a_transaction_step_by_step(broker: Broker, wire: ProtocolClient) -> None:
    topic, group, name = broker.topic(), unique("group"), unique("tx")
    made = init_producer(wire, name)
    me, epoch = made.producer_id, made.producer_epoch

    def batch(sequence: int, of: int = epoch) -> bytes:
        return record_batch(b"x", producer_id=me, epoch=of, sequence=sequence, transactional=True)

    assert add_partition(wire, name, me, epoch, topic) == OK
    assert add_partition(wire, name, me, epoch, topic) == OK  # once more
    assert produce(wire, topic, batch(0), transactional_id=name).base_offset == 0
    again = produce(wire, topic, batch(0), transactional_id=name)
    assert (again.error_code, again.base_offset) == (OK, 0)
    assert add_group(wire, name, me, epoch, group) == OK
    assert commit_in_transaction(wire, name, me, epoch, group, topic, 3) == OK
    answer = fetch(wire, topic, 0, isolation=COMMITTED)
    assert (answer.last_stable_offset, answer.high_watermark, answer.records or b"") == (0, 1, b"")
    assert end_transaction(wire, name, me, epoch) == OK
    assert end_transaction(wire, name, me, epoch) == OK  # the answer may have been lost
    assert end_transaction(wire, name, me, epoch, committed=False) == WRONG_STATE
    wait_for(lambda: list_offset(wire, topic, LATEST, isolation=COMMITTED).offset == 2)
    wait_for(lambda: committed(wire, group, topic).committed_offset == 3)

    # The next one is aborted: a reader is told which records are void.
    assert add_partition(wire, name, me, epoch, topic) == OK
    assert produce(wire, topic, batch(1), transactional_id=name).base_offset == 2
    assert end_transaction(wire, name, me, epoch, committed=False) == OK
    wait_for(lambda: list_offset(wire, topic, LATEST, isolation=COMMITTED).offset == 4)
    answer = fetch(wire, topic, 0, isolation=COMMITTED)
    assert [(a.producer_id, a.first_offset) for a in answer.aborted_transactions] == [(me, 2)]
    assert fetch(wire, topic, 0).aborted_transactions is None  # it did not ask


def test_a_newer_producer_fences_every_step_of_the_older(
    broker: Broker, wire: ProtocolClient
) -> None:
    topic, group, name = broker.topic(), unique("group"), unique("tx")
    old = init_producer(wire, name)
    me, epoch = old.producer_id, old.producer_epoch
    assert add_partition(wire, name, me, epoch, topic) == OK
    batch = record_batch(b"x", producer_id=me, epoch=epoch, sequence=0, transactional=True)
    assert produce(wire, topic, batch, transactional_id=name).error_code == OK
    new = init_producer(wire, name)
    assert (new.error_code, new.producer_id) == (OK, me)
    assert new.producer_epoch > epoch
    # What the older one had open is aborted.
    wait_for(lambda: list_offset(wire, topic, LATEST, isolation=COMMITTED).offset == 2)
    late = record_batch(b"y", producer_id=me, epoch=epoch, sequence=1, transactional=True)
    assert produce(wire, topic, late, transactional_id=name).error_code == OLD_EPOCH
    assert add_partition(wire, name, me, epoch, topic) == FENCED
    assert add_group(wire, name, me, epoch, group) == FENCED
    assert commit_in_transaction(wire, name, me, epoch, group, topic, 3) == OLD_EPOCH
    assert end_transaction(wire, name, me, epoch) == FENCED
    assert list_offset(wire, topic, LATEST).offset == 2
