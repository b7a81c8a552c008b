"""Requests of the Kafka protocol, in one call each: transactions.

What they return is what the broker answered for the one producer or partition asked about.
"""

from __future__ import annotations

from typing import Any

from kafka.protocol.producer import (
    AddOffsetsToTxnRequest,
    AddOffsetsToTxnResponse,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    EndTxnRequest,
    EndTxnResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
)
from protocol_client import ProtocolClient
from raw_requests import coordinated, settled


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
    coordinated(client, group)
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
