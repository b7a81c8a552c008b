"""Requests of the Kafka protocol in one call each, as kafka-python's schemas write them.

What they return is what the broker answered for the one topic, partition or member asked about.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.consumer import (
    FetchRequest,
    FetchResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)
from kafka.protocol.consumer.metadata import ConsumerProtocolSubscription
from kafka.protocol.metadata import FindCoordinatorRequest, FindCoordinatorResponse
from kafka.protocol.producer import (
    AddOffsetsToTxnRequest,
    AddOffsetsToTxnResponse,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    EndTxnRequest,
    EndTxnResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
    ProduceRequest,
    ProduceResponse,
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
)
from protocol_client import ProtocolClient

OK = 0
SUBSCRIPTION = ConsumerProtocolSubscription(version=0, topics=["none"], user_data=b"").encode()

#: A real broker says these while it makes itself ready for a new group or transactional id.
_SOON = {
    kafka_errors.CoordinatorNotAvailableError.errno,
    kafka_errors.CoordinatorLoadInProgressError.errno,
    kafka_errors.NotCoordinatorError.errno,
    kafka_errors.ConcurrentTransactionsError.errno,
}


def settled(ask: Callable[[], Any], code: Callable[[Any], int]) -> Any:
    """The answer, asked for again as long as the broker is not ready to give one."""
    deadline = time.monotonic() + 20
    while code(answer := ask()) in _SOON and time.monotonic() < deadline:
        time.sleep(0.02)
    return answer


def coordinated(client: ProtocolClient, group: str, key_type: int = 0) -> None:
    """Makes the broker the coordinator of the group (0) or transactional id (1)."""
    request = FindCoordinatorRequest(key=group, key_type=key_type)
    settled(lambda: client.call(request, FindCoordinatorResponse, 2), lambda a: a.error_code)


# -- records ---------------------------------------------------------------------------------


def produce(
    client: ProtocolClient,
    topic: str,
    records: bytes | None,
    partition: int = 0,
    acks: int = -1,
    transactional_id: str | None = None,
) -> Any:
    Topic = ProduceRequest.TopicProduceData
    data = Topic.PartitionProduceData(index=partition, records=records)
    request = ProduceRequest(
        transactional_id=transactional_id,
        acks=acks,
        timeout_ms=5000,
        topic_data=[Topic(name=topic, partition_data=[data])],
    )
    return client.call(request, ProduceResponse, 9).responses[0].partition_responses[0]


def fetch_request(
    topic: str,
    offset: int,
    partition: int = 0,
    max_wait_ms: int = 0,
    min_bytes: int = 1,
    max_bytes: int = 1 << 20,
    leader_epoch: int = -1,
    session_id: int = 0,
    isolation: int = 0,
) -> Any:
    Topic = FetchRequest.FetchTopic
    wanted = Topic.FetchPartition(
        partition=partition,
        current_leader_epoch=leader_epoch,
        fetch_offset=offset,
        partition_max_bytes=max_bytes,
    )
    return FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        isolation_level=isolation,
        session_id=session_id,
        session_epoch=-1 if session_id == 0 else 1,
        topics=[Topic(topic=topic, partitions=[wanted])],
        forgotten_topics_data=[],
    )


def fetch(client: ProtocolClient, topic: str, offset: int, **options: Any) -> Any:
    answer = client.call(fetch_request(topic, offset, **options), FetchResponse, 11)
    return answer.responses[0].partitions[0]


def list_offset(
    client: ProtocolClient,
    topic: str,
    timestamp: int,
    partition: int = 0,
    leader_epoch: int = -1,
    isolation: int = 0,
) -> Any:
    """Of this timestamp, or -1 latest, -2 earliest."""
    Topic = ListOffsetsRequest.ListOffsetsTopic
    wanted = Topic.ListOffsetsPartition(
        partition_index=partition, current_leader_epoch=leader_epoch, timestamp=timestamp
    )
    request = ListOffsetsRequest(
        replica_id=-1,
        isolation_level=isolation,
        topics=[Topic(name=topic, partitions=[wanted])],
    )
    return client.call(request, ListOffsetsResponse, 6).topics[0].partitions[0]


# -- groups ----------------------------------------------------------------------------------


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


# -- transactions ----------------------------------------------------------------------------


def init_producer(
    client: ProtocolClient,
    transactional_id: str,
    producer_id: int = -1,
    epoch: int = -1,
    timeout_ms: int = 10_000,
) -> Any:
    coordinated(client, transactional_id, key_type=1)
    request = InitProducerIdRequest(
        transactional_id=transactional_id,
        transaction_timeout_ms=timeout_ms,
        producer_id=producer_id,
        producer_epoch=epoch,
    )
    return settled(lambda: client.call(request, InitProducerIdResponse, 4), lambda a: a.error_code)


def add_partition(
    client: ProtocolClient,
    transactional_id: str,
    producer_id: int,
    epoch: int,
    topic: str,
    partition: int = 0,
) -> int:
    Topic = AddPartitionsToTxnRequest.AddPartitionsToTxnTopic
    request = AddPartitionsToTxnRequest(
        v3_and_below_transactional_id=transactional_id,
        v3_and_below_producer_id=producer_id,
        v3_and_below_producer_epoch=epoch,
        v3_and_below_topics=[Topic(name=topic, partitions=[partition])],
    )

    def ask() -> int:
        answer = client.call(request, AddPartitionsToTxnResponse, 3)
        (result,) = answer.results_by_topic_v3_and_below[0].results_by_partition
        return int(result.partition_error_code)

    return int(settled(ask, int))


def add_group(
    client: ProtocolClient, transactional_id: str, producer_id: int, epoch: int, group: str
) -> int:
    request = AddOffsetsToTxnRequest(
        transactional_id=transactional_id,
        producer_id=producer_id,
        producer_epoch=epoch,
        group_id=group,
    )
    return int(
        settled(
            lambda: client.call(request, AddOffsetsToTxnResponse, 3), lambda a: a.error_code
        ).error_code
    )


def commit_in_transaction(
    client: ProtocolClient,
    transactional_id: str,
    producer_id: int,
    epoch: int,
    group: str,
    topic: str,
    offset: int,
    member: str = "",
    generation: int = -1,
) -> int:
    Topic = TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic
    wanted = Topic.TxnOffsetCommitRequestPartition(
        partition_index=0,
        committed_offset=offset,
        committed_leader_epoch=-1,
        committed_metadata="",
    )
    request = TxnOffsetCommitRequest(
        transactional_id=transactional_id,
        group_id=group,
        producer_id=producer_id,
        producer_epoch=epoch,
        generation_id=generation,
        member_id=member,
        group_instance_id=None,
        topics=[Topic(name=topic, partitions=[wanted])],
    )
    answer = client.call(request, TxnOffsetCommitResponse, 3)
    return int(answer.topics[0].partitions[0].error_code)


def end_transaction(
    client: ProtocolClient,
    transactional_id: str,
    producer_id: int,
    epoch: int,
    committed: bool = True,
) -> int:
    request = EndTxnRequest(
        transactional_id=transactional_id,
        producer_id=producer_id,
        producer_epoch=epoch,
        committed=committed,
    )
    return int(
        settled(lambda: client.call(request, EndTxnResponse, 3), lambda a: a.error_code).error_code
    )
