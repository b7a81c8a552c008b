"""Requests of the Kafka protocol, in one call each: Produce, Fetch, ListOffsets.

What they return is what the broker answered for the one partition asked about.
"""

from __future__ import annotations

from typing import Any

from kafka.protocol.consumer import (
    FetchRequest,
    FetchResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
)
from kafka.protocol.producer import (
    ProduceRequest,
    ProduceResponse,
)
from protocol_client import ProtocolClient


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
