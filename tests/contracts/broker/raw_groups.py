"""Requests of the Kafka protocol, in one call each: groups and their offsets.

What they return is what the broker answered for the one group, member or partition asked about.
"""

from __future__ import annotations

from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.consumer import (
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)
from kafka.protocol.consumer.metadata import ConsumerProtocolSubscription
from protocol_client import ProtocolClient
from raw_requests import coordinated, settled

SUBSCRIPTION = ConsumerProtocolSubscription(version=0, topics=["none"], user_data=b"").encode()


def join_request(
    group: str,
    member: str = "",
    instance: str | None = None,
    timeout_ms: int = 30_000,
    protocols: tuple[str, ...] = ("range",),
) -> Any:
    Protocol = JoinGroupRequest.JoinGroupRequestProtocol
    return JoinGroupRequest(
        group_id=group,
        session_timeout_ms=timeout_ms,
        rebalance_timeout_ms=20_000,
        member_id=member,
        group_instance_id=instance,
        protocol_type="consumer",
        protocols=[Protocol(name=name, metadata=SUBSCRIPTION) for name in protocols],
        reason=None,
    )


def join(client: ProtocolClient, group: str, member: str = "", **options: Any) -> Any:
    """Joins; a new dynamic member is first told its id and then comes back with it."""
    coordinated(client, group)
    answer = settled(
        lambda: client.call(join_request(group, member, **options), JoinGroupResponse, 9),
        lambda a: a.error_code,
    )
    if answer.error_code == kafka_errors.MemberIdRequiredError.errno:
        request = join_request(group, answer.member_id, **options)
        answer = client.call(request, JoinGroupResponse, 9)
    return answer


def sync(
    client: ProtocolClient,
    group: str,
    generation: int,
    member: str,
    shares: dict[str, bytes],
    protocol: str = "range",
) -> Any:
    Share = SyncGroupRequest.SyncGroupRequestAssignment
    request = SyncGroupRequest(
        group_id=group,
        generation_id=generation,
        member_id=member,
        group_instance_id=None,
        protocol_type="consumer",
        protocol_name=protocol,
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
    partition: int = 0,
) -> int:
    Topic = OffsetCommitRequest.OffsetCommitRequestTopic
    wanted = Topic.OffsetCommitRequestPartition(
        partition_index=partition,
        committed_offset=offset,
        committed_leader_epoch=-1,
        committed_metadata=metadata,
    )
    request = OffsetCommitRequest(
        group_id=group,
        generation_id_or_member_epoch=generation,
        member_id=member,
        group_instance_id=None,
        topics=[Topic(name=topic, partitions=[wanted])],
    )
    answer = client.call(request, OffsetCommitResponse, 8)
    return int(answer.topics[0].partitions[0].error_code)


def committed(client: ProtocolClient, group: str, topic: str, stable: bool = True) -> Any:
    Topic = OffsetFetchRequest.OffsetFetchRequestTopic
    request = OffsetFetchRequest(
        group_id=group, topics=[Topic(name=topic, partition_indexes=[0])], require_stable=stable
    )
    return client.call(request, OffsetFetchResponse, 7).topics[0].partitions[0]
