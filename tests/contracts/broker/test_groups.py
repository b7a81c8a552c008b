"""Consumer groups through both clients."""

from __future__ import annotations

import pytest
from broker_fixtures import Broker, unique
from client_contract import Client, Refused
from kafka import errors as kafka_errors
from kafka.structs import TopicPartition
from members import Member, wait_for
from protocol_client import ProtocolClient
from raw_groups import heartbeat
from raw_requests import OK

ALL = {0, 1, 2, 3}


@pytest.mark.parametrize("eager", [False, True], ids=["cooperative", "eager"])
def test_two_consumers_share_a_topic_and_one_takes_over(
    broker: Broker, client: Client, eager: bool
) -> None:
    topic, group = broker.topic(4), unique("group")
    first = Member(client, group, topic, eager=eager)
    wait_for(lambda: first.partitions == ALL)
    second = Member(client, group, topic, eager=eager)
    wait_for(lambda: len(first.partitions) == len(second.partitions) == 2)
    assert first.partitions | second.partitions == ALL
    producer = client.producer()
    for partition in ALL:
        numbers = range(partition, 40, 4)
        producer.send_many(topic, [str(number).encode() for number in numbers], partition)
    wait_for(lambda: len(first.records) + len(second.records) == 40)
    both = first.records + second.records
    assert sorted(int(r.value or b"") for r in both) == list(range(40))
    assert {r.partition for r in first.records} == first.partitions
    left = first.partitions
    for member in (first, second):
        member.commit(topic, dict.fromkeys(member.partitions, (10, "done")))
    first.stop().close()
    wait_for(lambda: second.partitions == ALL)
    # What the first one had committed is where the second one goes on.
    producer.send_many(topic, [b"one more"], min(left))
    wait_for(lambda: len(second.records) == 21)
    last = second.records[-1]
    assert (last.partition, last.offset, last.value) == (min(left), 10, b"one more")
    assert second.stop().committed(topic, min(left)) == (10, "done")


def generation_of(broker: Broker, wire: ProtocolClient, group: str, instance: str) -> int:
    """The generation with which a heartbeat of this static member is taken."""
    members = broker.admin.describe_groups([group])[group]["members"]
    member = next(m["member_id"] for m in members if m["group_instance_id"] == instance)
    codes = (heartbeat(wire, group, member, number, instance) for number in range(1, 100))
    return 1 + next(number for number, code in enumerate(codes) if code == OK)


def test_a_static_member_comes_back_without_a_rebalance(
    broker: Broker, client: Client, wire: ProtocolClient
) -> None:
    topic, group = broker.topic(4), unique("group")
    first, second = (Member(client, group, topic, instance=name) for name in "ab")
    wait_for(lambda: len(first.partitions) == len(second.partitions) == 2)
    had, others = first.partitions, second.partitions
    generation = generation_of(broker, wire, group, "b")
    first.stop().close()  # a static member does not say that it leaves
    again = Member(client, group, topic, instance="a")
    wait_for(lambda: again.partitions == had)
    assert second.partitions == others
    assert generation_of(broker, wire, group, "a") == generation
    assert generation_of(broker, wire, group, "b") == generation


def test_committed_offsets_keep_their_metadata(broker: Broker, client: Client) -> None:
    topic, group = broker.topic(2), unique("group")
    consumer = client.consumer(group)
    consumer.assign(topic, 0, 1)
    assert consumer.committed(topic, 0) is None
    note = '{"rebuild_from": 3, "é": 1}'
    consumer.commit(topic, {0: (17, note)})
    assert consumer.committed(topic, 0) == (17, note)
    assert consumer.committed(topic, 1) is None
    with pytest.raises(Refused) as caught:
        consumer.commit(topic, {0: (18, "x" * 4097)})
    assert caught.value.code == kafka_errors.OffsetMetadataTooLargeError.errno
    assert consumer.committed(topic, 0) == (17, note)
    consumer.commit(topic, {0: (12, "x" * 4000)})  # back is allowed
    assert consumer.committed(topic, 0) == (12, "x" * 4000)
    # Others read them: a consumer of the group, an administrator.
    other = client.consumer(group)
    other.assign(topic, 0)
    assert other.committed(topic, 0) == (12, "x" * 4000)
    assert list(broker.admin.list_group_offsets(group)[group]) == [TopicPartition(topic, 0)]


def test_a_consumer_goes_on_where_its_group_has_committed(broker: Broker, client: Client) -> None:
    topic, group = broker.topic(), unique("group")
    client.producer().send_many(topic, [b"0", b"1", b"2"])
    consumer = client.consumer(group)
    consumer.assign(topic)
    assert len(consumer.read(3)) == 3
    consumer.commit(topic, {0: (2, "")})
    later = client.consumer(group)
    later.assign(topic, offset=None)
    assert [r.value for r in later.read(1)] == [b"2"]


def test_groups_are_described_listed_and_deleted(broker: Broker, client: Client) -> None:
    topic, group, admin = broker.topic(), unique("group"), broker.admin
    member = Member(client, group, topic)
    wait_for(lambda: member.partitions == {0})
    described = admin.describe_groups([group])[group]
    assert described["group_state"] == "Stable"
    assert described["protocol_data"] == "cooperative-sticky"
    assert [m["client_host"] for m in described["members"]] == ["/127.0.0.1"]
    assert group in {entry["group_id"] for entry in admin.list_groups()}
    assert admin.delete_groups([group])[group] == "NonEmptyGroupError"
    consumer = member.stop()
    consumer.commit(topic, {0: (0, "")})
    consumer.close()
    assert admin.delete_groups([group])[group] == "OK"
    assert admin.delete_groups([group])[group] == "GroupIdNotFoundError"
