"""Consumer groups: the same contract for the embedded broker and for Apache Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from broker_fixtures import Broker, unique
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.protocol.consumer import (
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    LeaveGroupResponse,
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)
from kafka.protocol.consumer.metadata import ConsumerProtocolSubscription
from kafka.structs import OffsetAndMetadata
from polled_consumer import Polled, wait_for
from protocol_client import ProtocolClient

OK = 0
SUBSCRIPTION = ConsumerProtocolSubscription(version=0, topics=["none"], user_data=b"").encode()
Commit = OffsetCommitRequest.OffsetCommitRequestTopic


@pytest.fixture
def connect(broker: Broker) -> Iterator[Callable[[], ProtocolClient]]:
    """Opens connections: a request that waits for the group blocks its own."""
    clients: list[ProtocolClient] = []

    def open_one() -> ProtocolClient:
        clients.append(ProtocolClient(broker.bootstrap_servers))
        return clients[-1]

    yield open_one
    for client in clients:
        client.__exit__(None, None, None)


def join_request(
    group: str, member: str = "", instance: str | None = None, timeout_ms: int = 30_000
) -> Any:
    Protocol = JoinGroupRequest.JoinGroupRequestProtocol
    return JoinGroupRequest(
        group_id=group,
        session_timeout_ms=timeout_ms,
        rebalance_timeout_ms=20_000,
        member_id=member,
        group_instance_id=instance,
        protocol_type="consumer",
        protocols=[Protocol(name="range", metadata=SUBSCRIPTION)],
        reason=None,
    )


def join(client: ProtocolClient, group: str, member: str = "", **options: Any) -> Any:
    """Joins; a new dynamic member is first told its id and then comes back with it."""
    answer = client.call(join_request(group, member, **options), JoinGroupResponse, 9)
    if answer.error_code == kafka_errors.MemberIdRequiredError.errno:
        request = join_request(group, answer.member_id, **options)
        answer = client.call(request, JoinGroupResponse, 9)
    return answer


def sync(client: ProtocolClient, group: str, joined: Any, shares: dict[str, bytes]) -> Any:
    Share = SyncGroupRequest.SyncGroupRequestAssignment
    request = SyncGroupRequest(
        group_id=group,
        generation_id=joined.generation_id,
        member_id=joined.member_id,
        group_instance_id=None,
        protocol_type="consumer",
        protocol_name="range",
        assignments=[Share(member_id=k, assignment=v) for k, v in shares.items()],
    )
    return client.call(request, SyncGroupResponse, 5)


def heartbeat(
    client: ProtocolClient, group: str, member: str, generation: int, instance: str | None = None
) -> int:
    request = HeartbeatRequest(
        group_id=group, generation_id=generation, member_id=member, group_instance_id=instance
    )
    return int(client.call(request, HeartbeatResponse, 4).error_code)


def commit(
    client: ProtocolClient,
    group: str,
    topic: str,
    offset: int,
    member: str = "",
    generation: int = -1,
    metadata: str | None = "",
) -> int:
    partition = Commit.OffsetCommitRequestPartition(
        partition_index=0,
        committed_offset=offset,
        committed_leader_epoch=-1,
        committed_metadata=metadata,
    )
    request = OffsetCommitRequest(
        group_id=group,
        generation_id_or_member_epoch=generation,
        member_id=member,
        group_instance_id=None,
        topics=[Commit(name=topic, partitions=[partition])],
    )
    answer = client.call(request, OffsetCommitResponse, 8)
    return int(answer.topics[0].partitions[0].error_code)


def committed(client: ProtocolClient, group: str, topic: str) -> tuple[int, str]:
    Topic = OffsetFetchRequest.OffsetFetchRequestTopic
    request = OffsetFetchRequest(
        group_id=group, topics=[Topic(name=topic, partition_indexes=[0])], require_stable=True
    )
    partition = client.call(request, OffsetFetchResponse, 7).topics[0].partitions[0]
    return partition.committed_offset, partition.metadata


def group_consumer(broker: Broker, group: str, topic: str, **settings: Any) -> KafkaConsumer:
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=200,
        partition_assignment_strategy=[CooperativeStickyAssignor],
        **settings,
    )
    consumer.partitions_for_topic(topic)
    consumer.subscribe([topic])
    return consumer


def test_two_consumers_share_a_topic_and_one_takes_over(broker):
    topic, group = broker.topic(4), unique("group")
    first = Polled(group_consumer(broker, group, topic))
    wait_for(lambda: first.partitions == {0, 1, 2, 3})
    second = Polled(group_consumer(broker, group, topic))
    wait_for(lambda: len(first.partitions) == len(second.partitions) == 2)
    assert first.partitions | second.partitions == {0, 1, 2, 3}
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    for number in range(40):
        producer.send(topic, value=str(number).encode(), partition=number % 4)
    producer.close()
    wait_for(lambda: len(first.records) + len(second.records) == 40)
    both = first.records + second.records
    assert sorted(int(r.value) for r in both) == list(range(40))
    assert {r.partition for r in first.records} == first.partitions
    leaver = first.stop()
    leaver.commit()
    leaver.close()
    wait_for(lambda: second.partitions == {0, 1, 2, 3})
    # What the first one had committed is where the second one goes on.
    stayer = second.stop()
    assert [stayer.position(TopicPartition(topic, p)) for p in range(4)] == [10] * 4
    assert len(second.records) == 20
    stayer.close()


def test_a_static_member_comes_back_without_a_rebalance(broker):
    topic, group = broker.topic(4), unique("group")
    first, second = (
        Polled(group_consumer(broker, group, topic, group_instance_id=name)) for name in "ab"
    )
    wait_for(lambda: len(first.partitions) == len(second.partitions) == 2)
    had = first.partitions
    first.stop().close()
    generation = second.consumer.group_metadata().generation_id
    again = Polled(group_consumer(broker, group, topic, group_instance_id="a"))
    wait_for(lambda: again.partitions == had)
    assert second.consumer.group_metadata().generation_id == generation
    assert again.consumer.group_metadata().generation_id == generation
    again.stop().close()
    second.stop().close()


def test_committed_offsets_keep_their_metadata(broker):
    topic, group = broker.topic(2), unique("group")
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers, group_id=group, enable_auto_commit=False
    )
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer.assign([zero, one])
    assert consumer.committed(zero) is None
    consumer.commit({zero: OffsetAndMetadata(17, '{"rebuild_from": 3, "é": 1}', 0)})
    found = consumer.committed(zero, metadata=True)
    assert (found.offset, found.metadata) == (17, '{"rebuild_from": 3, "é": 1}')
    assert consumer.committed(one) is None
    with pytest.raises(kafka_errors.OffsetMetadataTooLargeError):
        consumer.commit({zero: OffsetAndMetadata(18, "x" * 4097, 0)})
    assert consumer.committed(zero) == 17
    assert list(broker.admin.list_group_offsets(group)[group]) == [zero]
    consumer.close()


def test_generations_heartbeats_and_commits(broker, connect):
    topic, group = broker.topic(), unique("group")
    one, two = connect(), connect()
    first = join(one, group)
    assert (first.error_code, first.generation_id, first.leader) == (OK, 1, first.member_id)
    me = first.member_id
    # A member that has joined but not synced cannot commit yet.
    rebalancing = kafka_errors.RebalanceInProgressError.errno
    assert commit(one, group, topic, 1, me, 1) == rebalancing
    assert sync(one, group, first, {me: b"all"}).assignment == b"all"
    assert heartbeat(one, group, me, 1) == OK
    assert commit(one, group, topic, 5, me, 1, None) == OK
    assert committed(one, group, topic) == (5, "")

    illegal = kafka_errors.IllegalGenerationError.errno
    unknown = kafka_errors.UnknownMemberIdError.errno
    assert heartbeat(one, group, me, 2) == illegal
    assert heartbeat(one, group, "nobody", 1) == unknown
    assert commit(one, group, topic, 9, me, 0) == illegal
    assert commit(one, group, topic, 9, "nobody", 1) == unknown
    assert commit(one, group, topic, 9) == unknown  # somebody outside, while members are there
    assert commit(one, unique("other"), topic, 9, me, 1) == illegal
    assert commit(one, group, unique("nowhere"), 9, me, 1) == (
        kafka_errors.UnknownTopicOrPartitionError.errno
    )

    # A second member makes everybody join again; the old generation still commits meanwhile.
    ask = join_request(group)
    second_id = two.call(ask, JoinGroupResponse, 9).member_id
    two.send(join_request(group, second_id), 9)
    deadline = time.monotonic() + 10
    while heartbeat(one, group, me, 1) != rebalancing:
        assert time.monotonic() < deadline
    assert commit(one, group, topic, 6, me, 1) == OK
    again = join(one, group, me)
    second = two.receive(JoinGroupResponse, 9)
    assert again.generation_id == second.generation_id == 2
    assert (second.leader, second.members) == (me, [])
    assert {m.member_id for m in again.members} == {me, second_id}
    shares = {me: b"left", second_id: b"right"}
    assert sync(one, group, again, shares).assignment == b"left"
    assert sync(two, group, second, {}).assignment == b"right"
    assert commit(one, group, topic, 7, me, 1) == illegal
    assert committed(one, group, topic) == (6, "")

    # One leaves, the other one hears of it.
    Identity = LeaveGroupRequest.MemberIdentity
    gone = LeaveGroupRequest(group_id=group, members=[Identity(member_id=me)])
    assert two.call(gone, LeaveGroupResponse, 5).members[0].error_code == OK
    assert heartbeat(two, group, second_id, 2) == rebalancing
    assert join(two, group, second_id).generation_id == 3


def test_a_replaced_static_member_is_fenced(broker, connect):
    group = unique("group")
    one, two = connect(), connect()
    first = join(one, group, instance="a")
    assert (first.error_code, first.generation_id) == (OK, 1)
    assert sync(one, group, first, {first.member_id: b"mine"}).assignment == b"mine"
    second = join(two, group, instance="a")
    assert (second.error_code, second.generation_id) == (OK, 1)
    assert second.member_id != first.member_id
    assert second.skip_assignment
    assert sync(two, group, second, {}).assignment == b"mine"
    fenced = kafka_errors.FencedInstanceIdError.errno
    assert heartbeat(one, group, first.member_id, 1, "a") == fenced
    assert heartbeat(two, group, second.member_id, 1, "a") == OK
    assert join(one, group, first.member_id, instance="a").error_code == fenced


def test_a_silent_member_is_removed(broker, connect):
    group, timeout_ms = unique("group"), broker.min_session_timeout_ms
    client = connect()
    refused = join(client, group, timeout_ms=timeout_ms - 1)
    assert refused.error_code == kafka_errors.InvalidSessionTimeoutError.errno
    first = join(client, group, timeout_ms=timeout_ms)
    sync(client, group, first, {})
    assert heartbeat(client, group, first.member_id, 1) == OK
    time.sleep(timeout_ms / 1000 + 0.5)
    unknown = kafka_errors.UnknownMemberIdError.errno
    assert heartbeat(client, group, first.member_id, 1) == unknown
    assert join(client, group).generation_id == 3  # its own end was the second


def test_a_protocol_that_the_group_does_not_speak_is_refused(broker, connect):
    group, client = unique("group"), connect()
    first = join(client, group)
    sync(client, group, first, {})
    stranger = join_request(group)
    stranger.protocols[0].name = "roundrobin"
    answer = client.call(stranger, JoinGroupResponse, 9)
    assert answer.error_code == kafka_errors.InconsistentGroupProtocolError.errno


def test_groups_are_described_listed_and_deleted(broker):
    topic, group = broker.topic(), unique("group")
    polled = Polled(group_consumer(broker, group, topic))
    wait_for(lambda: polled.partitions == {0})
    consumer = polled.stop()
    described = broker.admin.describe_groups([group])[group]
    assert described["group_state"] == "Stable"
    assert described["protocol_data"] == "cooperative-sticky"
    assert [m["client_host"] for m in described["members"]] == ["/127.0.0.1"]
    assert group in {entry["group_id"] for entry in broker.admin.list_groups()}
    assert broker.admin.delete_groups([group])[group] == "NonEmptyGroupError"
    consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(0, "", 0)})
    consumer.close()
    assert broker.admin.delete_groups([group])[group] == "OK"
    assert broker.admin.delete_groups([group])[group] == "GroupIdNotFoundError"
