"""Members of a group as requests: generations, fencing, timeouts, commits."""

from __future__ import annotations

import time
from collections.abc import Callable

from broker_fixtures import Broker, unique
from kafka import errors as kafka_errors
from kafka.protocol.consumer import JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse
from protocol_client import ProtocolClient
from raw_groups import commit, committed, heartbeat, join, join_request, sync
from raw_requests import OK, coordinated

ILLEGAL = kafka_errors.IllegalGenerationError.errno
UNKNOWN = kafka_errors.UnknownMemberIdError.errno
REBALANCING = kafka_errors.RebalanceInProgressError.errno
FENCED = kafka_errors.FencedInstanceIdError.errno

Connect = Callable[[], ProtocolClient]


def stored(client: ProtocolClient, group: str, topic: str) -> tuple[int, str]:
    answer = committed(client, group, topic)
    return answer.committed_offset, answer.metadata


def test_generations_heartbeats_and_commits(broker: Broker, connect: Connect) -> None:
    topic, group = broker.topic(), unique("group")
    one, two = connect(), connect()
    first = join(one, group)
    assert (first.error_code, first.generation_id, first.leader) == (OK, 1, first.member_id)
    me = first.member_id
    # A member that has joined but not synced cannot commit yet.
    assert commit(one, group, topic, 1, me, 1) == REBALANCING
    assert sync(one, group, 1, me, {me: b"all"}).assignment == b"all"
    assert heartbeat(one, group, me, 1) == OK
    assert commit(one, group, topic, 5, me, 1, None) == OK
    assert stored(one, group, topic) == (5, "")

    assert heartbeat(one, group, me, 2) == ILLEGAL
    assert heartbeat(one, group, "nobody", 1) == UNKNOWN
    assert commit(one, group, topic, 9, me, 0) == ILLEGAL
    assert commit(one, group, topic, 9, "nobody", 1) == UNKNOWN
    assert commit(one, group, topic, 9) == UNKNOWN  # somebody outside, while members are there

    # A second member makes everybody join again; the old generation still commits meanwhile.
    second_id = two.call(join_request(group), JoinGroupResponse, 9).member_id
    two.send(join_request(group, second_id), 9)
    deadline = time.monotonic() + 10
    while heartbeat(one, group, me, 1) != REBALANCING:
        assert time.monotonic() < deadline
    assert commit(one, group, topic, 6, me, 1) == OK
    again = join(one, group, me)
    second = two.receive(JoinGroupResponse, 9)
    assert again.generation_id == second.generation_id == 2
    assert (second.leader, second.members) == (me, [])
    assert {m.member_id for m in again.members} == {me, second_id}
    assert sync(one, group, 2, me, {me: b"left", second_id: b"right"}).assignment == b"left"
    assert sync(two, group, 2, second_id, {}).assignment == b"right"
    assert commit(one, group, topic, 7, me, 1) == ILLEGAL
    assert commit(two, group, topic, 7, second_id, 1) == ILLEGAL
    assert stored(one, group, topic) == (6, "")

    # One leaves, the other one hears of it.
    Identity = LeaveGroupRequest.MemberIdentity
    gone = LeaveGroupRequest(group_id=group, members=[Identity(member_id=me)])
    assert two.call(gone, LeaveGroupResponse, 5).members[0].error_code == OK
    assert heartbeat(two, group, second_id, 2) == REBALANCING
    assert join(two, group, second_id).generation_id == 3
    assert commit(one, group, topic, 8, me, 2) == UNKNOWN


def test_a_replaced_static_member_is_fenced(broker: Broker, connect: Connect) -> None:
    group = unique("group")
    one, two = connect(), connect()
    first = join(one, group, instance="a")
    assert (first.error_code, first.generation_id) == (OK, 1)
    me = first.member_id
    assert sync(one, group, 1, me, {me: b"mine"}).assignment == b"mine"
    second = join(two, group, instance="a")
    assert (second.error_code, second.generation_id) == (OK, 1)  # nobody else notices
    assert second.member_id != me
    assert second.skip_assignment
    assert sync(two, group, 1, second.member_id, {}).assignment == b"mine"
    assert heartbeat(one, group, me, 1, "a") == FENCED
    assert heartbeat(two, group, second.member_id, 1, "a") == OK
    assert join(one, group, me, instance="a").error_code == FENCED


def test_a_silent_member_is_removed(broker: Broker, wire: ProtocolClient) -> None:
    group, timeout_ms = unique("group"), broker.min_session_timeout_ms
    refused = join(wire, group, timeout_ms=timeout_ms - 1)
    assert refused.error_code == kafka_errors.InvalidSessionTimeoutError.errno
    first = join(wire, group, timeout_ms=timeout_ms)
    sync(wire, group, 1, first.member_id, {})
    assert heartbeat(wire, group, first.member_id, 1) == OK
    time.sleep(timeout_ms / 1000 + 0.4)
    assert heartbeat(wire, group, first.member_id, 1) == UNKNOWN
    assert join(wire, group).generation_id == 3  # its own end was the second


def test_a_protocol_that_the_group_does_not_speak_is_refused(
    broker: Broker, wire: ProtocolClient
) -> None:
    group = unique("group")
    first = join(wire, group)
    sync(wire, group, 1, first.member_id, {})
    inconsistent = kafka_errors.InconsistentGroupProtocolError.errno
    assert join(wire, group, protocols=("roundrobin",)).error_code == inconsistent
    believed = sync(wire, group, 1, first.member_id, {}, protocol="roundrobin")
    assert believed.error_code == inconsistent
    assert sync(wire, group, 1, first.member_id, {}).error_code == OK


def test_commits_of_a_group_without_members(broker: Broker, wire: ProtocolClient) -> None:
    topic, group = broker.topic(), unique("group")
    coordinated(wire, group)
    assert stored(wire, group, topic) == (-1, "")
    assert commit(wire, group, topic, 9, "me", 1) == ILLEGAL
    # 4096 characters, however many bytes: those of Java, where an emoji is two.
    too_large = kafka_errors.OffsetMetadataTooLargeError.errno
    for longest in ("x" * 4096, "é" * 4096, "🛒" * 2048):
        assert commit(wire, group, topic, 9, metadata=longest) == OK
        assert stored(wire, group, topic) == (9, longest)
        assert commit(wire, group, topic, 10, metadata=longest + "x") == too_large
        assert stored(wire, group, topic) == (9, longest)
    no_such = kafka_errors.UnknownTopicOrPartitionError.errno
    assert commit(wire, group, unique("nowhere"), 9) == no_such
    assert commit(wire, group, topic, 9, partition=7) == no_such
