"""Transactions through both clients: all of it, or nothing that a reader sees."""

from __future__ import annotations

import time

import pytest
from broker_fixtures import Broker, unique
from client_contract import Client, Fenced, Refused
from kafka import errors as kafka_errors
from members import Member, wait_for
from protocol_client import ProtocolClient
from raw_groups import committed
from raw_records import list_offset

LATEST = -1
COMMITTED = 1  #: isolation levels of the protocol
UNCOMMITTED = 0
STALE = {
    kafka_errors.IllegalGenerationError.errno,
    kafka_errors.UnknownMemberIdError.errno,
}


def read(client: Client, topic: str, committed_only: bool) -> list[tuple[int, bytes | None]]:
    """Offset and value of all records of partition 0 that such a reader sees now."""
    consumer = client.consumer(committed_only=committed_only)
    consumer.assign(topic)
    return [(r.offset, r.value) for r in consumer.read_all()]


def end_of(wire: ProtocolClient, topic: str, isolation: int) -> int:
    return int(list_offset(wire, topic, LATEST, isolation=isolation).offset)


def test_what_is_aborted_is_invisible(broker: Broker, client: Client, wire: ProtocolClient) -> None:
    topic = broker.topic()
    producer = client.producer(unique("tx"))
    for value, ends in ((b"1", "commit"), (b"2", "abort"), (b"3", "commit"), (b"4", "abort")):
        producer.begin()
        producer.send(topic, value)
        producer.commit() if ends == "commit" else producer.abort()
    # Each transaction ends with a marker: no reader gets it, and it takes an offset.
    wait_for(lambda: end_of(wire, topic, COMMITTED) == 8)
    assert read(client, topic, True) == [(0, b"1"), (4, b"3")]
    assert read(client, topic, False) == [(0, b"1"), (2, b"2"), (4, b"3"), (6, b"4")]


def test_an_open_transaction_holds_back_what_comes_after_it(
    broker: Broker, client: Client, wire: ProtocolClient
) -> None:
    topic, plain = broker.topic(), client.producer()
    producer = client.producer(unique("tx"))
    plain.send(topic, b"before")
    producer.begin()
    producer.send(topic, b"inside")
    plain.send(topic, b"after")
    assert (end_of(wire, topic, COMMITTED), end_of(wire, topic, UNCOMMITTED)) == (1, 3)
    everything = [(0, b"before"), (1, b"inside"), (2, b"after")]
    assert read(client, topic, True) == everything[:1]
    assert read(client, topic, False) == everything
    producer.commit()
    wait_for(lambda: end_of(wire, topic, COMMITTED) == 4)
    assert read(client, topic, True) == everything


def test_a_waiting_reader_gets_a_transaction_when_it_commits(
    broker: Broker, client: Client
) -> None:
    topic = broker.topic()
    consumer = client.consumer(committed_only=True, max_wait_ms=20_000)
    consumer.assign(topic)
    producer = client.producer(unique("tx"))
    producer.begin()
    producer.send(topic, b"x")
    assert consumer.poll(0.3) == []
    producer.commit()
    begun = time.monotonic()
    assert [r.value for r in consumer.poll(15)] == [b"x"]
    assert time.monotonic() - begun < 10  # half of the longest wait


def test_offsets_are_part_of_the_transaction(broker: Broker, client: Client) -> None:
    topic, group = broker.topic(), unique("group")
    # A read_committed consumer waits for offsets whose transaction is just being ended.
    consumer = client.consumer(group, committed_only=True)
    consumer.assign(topic)
    producer = client.producer(unique("tx"))
    for offset, ends, expected in ((3, "commit", 3), (8, "abort", 3), (5, "commit", 5)):
        producer.begin()
        producer.send(topic, b"x")
        producer.send_offsets(topic, {0: (offset, f"at {offset}")}, consumer.group_metadata())
        producer.commit() if ends == "commit" else producer.abort()
        assert consumer.committed(topic, 0) == (expected, f"at {expected}")


def test_offsets_of_an_open_transaction_are_unstable(
    broker: Broker, client: Client, wire: ProtocolClient
) -> None:
    topic, group = broker.topic(), unique("group")
    producer = client.producer(unique("tx"))
    producer.begin()
    producer.send_offsets(topic, {0: (3, "")}, client.consumer(group).group_metadata())

    def fetched(stable: bool) -> tuple[int, int]:
        answer = committed(wire, group, topic, stable)
        return answer.error_code, answer.committed_offset

    assert fetched(stable=True) == (kafka_errors.UnstableOffsetCommitError.errno, -1)
    assert fetched(stable=False) == (0, -1)
    producer.commit()
    wait_for(lambda: fetched(stable=True) == (0, 3))


def test_a_member_of_an_older_generation_cannot_commit_in_a_transaction(
    broker: Broker, client: Client
) -> None:
    topic, group = broker.topic(4), unique("group")
    first = Member(client, group, topic)
    wait_for(lambda: len(first.partitions) == 4)
    stale = first.ask(lambda c: c.group_metadata())
    second = Member(client, group, topic)
    wait_for(lambda: len(first.partitions) == len(second.partitions) == 2)
    producer = client.producer(unique("tx"))
    producer.begin()
    with pytest.raises(Refused) as caught:
        producer.send_offsets(topic, {0: (3, "")}, stale)
    assert caught.value.code in STALE
    producer.abort()
    producer.begin()
    producer.send_offsets(topic, {0: (4, "")}, first.ask(lambda c: c.group_metadata()))
    producer.commit()
    wait_for(lambda: first.ask(lambda c: c.committed(topic, 0)) == (4, ""))


def test_a_second_producer_fences_the_first_and_aborts_its_transaction(
    broker: Broker, client: Client, wire: ProtocolClient
) -> None:
    topic, transactional_id = broker.topic(), unique("tx")
    first = client.producer(transactional_id)
    first.begin()
    first.send(topic, b"old")
    second = client.producer(transactional_id)
    second.begin()
    second.send(topic, b"new")
    second.commit()
    with pytest.raises(Fenced):
        first.send(topic, b"late")
        first.commit()
    wait_for(lambda: end_of(wire, topic, COMMITTED) == 4)
    assert read(client, topic, True) == [(2, b"new")]


def test_a_fenced_producer_cannot_begin_again(broker: Broker, client: Client) -> None:
    topic, transactional_id = broker.topic(), unique("tx")
    first = client.producer(transactional_id)
    client.producer(transactional_id)
    with pytest.raises(Fenced):
        first.begin()
        first.send(topic, b"x")
        first.commit()
    assert read(client, topic, False) == []


def test_a_transaction_that_takes_too_long_is_aborted(
    broker: Broker, client: Client, wire: ProtocolClient
) -> None:
    topic = broker.topic()
    producer = client.producer(unique("tx"), transaction_timeout_ms=1000)
    producer.begin()
    producer.send(topic, b"slow")
    wait_for(lambda: end_of(wire, topic, COMMITTED) == 2)  # the record and the marker
    with pytest.raises((Fenced, Refused)):
        producer.commit()
    assert read(client, topic, True) == []
