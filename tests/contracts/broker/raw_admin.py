"""Requests of the Kafka protocol, in one call each: administration. They return error codes."""

from __future__ import annotations

import uuid

from broker_fixtures import unique
from kafka.protocol.admin import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DescribeConfigsRequest,
    DescribeConfigsResponse,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from kafka.protocol.consumer import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
)
from kafka.protocol.metadata import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    MetadataRequest,
    MetadataResponse,
)
from protocol_client import ProtocolClient
from raw_requests import coordinated

_TOPIC_RESOURCE = 2


def create(client: ProtocolClient, *topics: str, **options: object) -> list[int]:
    Topic = CreateTopicsRequest.CreatableTopic
    plain: dict[str, object] = {"num_partitions": 1, "replication_factor": 1}
    wanted = [
        Topic(**(plain | {"name": name, "assignments": [], "configs": []} | options))
        for name in topics
    ]
    request = CreateTopicsRequest(topics=wanted, timeout_ms=5000, validate_only=True)
    return [t.error_code for t in client.call(request, CreateTopicsResponse, 5).topics]


def create_with_null(client: ProtocolClient) -> int:
    Config = CreateTopicsRequest.CreatableTopic.CreatableTopicConfig
    return create(client, unique("t"), configs=[Config(name="retention.ms", value=None)])[0]


def create_on_unknown_broker(client: ProtocolClient) -> int:
    Replicas = CreateTopicsRequest.CreatableTopic.CreatableReplicaAssignment
    where = [Replicas(partition_index=0, broker_ids=[99])]
    return create(client, unique("t"), num_partitions=-1, replication_factor=-1, assignments=where)[
        0
    ]


def grow(client: ProtocolClient, topic: str, count: int) -> int:
    Topic = CreatePartitionsRequest.CreatePartitionsTopic
    request = CreatePartitionsRequest(
        topics=[Topic(name=topic, count=count, assignments=None)],
        timeout_ms=5000,
        validate_only=False,
    )
    return int(client.call(request, CreatePartitionsResponse, 2).results[0].error_code)


def delete_records(client: ProtocolClient, topic: str, offset: int, partition: int = 0) -> int:
    Topic = DeleteRecordsRequest.DeleteRecordsTopic
    Partition = Topic.DeleteRecordsPartition
    request = DeleteRecordsRequest(
        topics=[
            Topic(name=topic, partitions=[Partition(partition_index=partition, offset=offset)])
        ],
        timeout_ms=5000,
    )
    answer = client.call(request, DeleteRecordsResponse, 1)
    return int(answer.topics[0].partitions[0].error_code)


def delete_topic(client: ProtocolClient, name: str | None, topic_id: uuid.UUID) -> int:
    Topic = DeleteTopicsRequest.DeleteTopicState
    request = DeleteTopicsRequest(topics=[Topic(name=name, topic_id=topic_id)], timeout_ms=5000)
    return int(client.call(request, DeleteTopicsResponse, 6).responses[0].error_code)


def describe_configs(client: ProtocolClient, name: str) -> int:
    Resource = DescribeConfigsRequest.DescribeConfigsResource
    resource = Resource(
        resource_type=_TOPIC_RESOURCE, resource_name=name, configuration_keys=["retention.ms"]
    )
    request = DescribeConfigsRequest(resources=[resource], include_synonyms=False)
    return int(client.call(request, DescribeConfigsResponse, 2).results[0].error_code)


def set_config(client: ProtocolClient, topic: str, name: str, value: str | None) -> int:
    Resource = IncrementalAlterConfigsRequest.AlterConfigsResource
    change = Resource.AlterableConfig(name=name, config_operation=0, value=value)
    resource = Resource(resource_type=_TOPIC_RESOURCE, resource_name=topic, configs=[change])
    request = IncrementalAlterConfigsRequest(resources=[resource], validate_only=False)
    answer = client.call(request, IncrementalAlterConfigsResponse, 0)
    return int(answer.responses[0].error_code)


def metadata(client: ProtocolClient, name: str | None, topic_id: uuid.UUID) -> int:
    Topic = MetadataRequest.MetadataRequestTopic
    request = MetadataRequest(
        topics=[Topic(name=name, topic_id=topic_id)], allow_auto_topic_creation=False
    )
    return int(client.call(request, MetadataResponse, 12).topics[0].error_code)


def find_coordinator(client: ProtocolClient, key: str, kind: int) -> int:
    request = FindCoordinatorRequest(key=key, key_type=kind)
    return int(client.call(request, FindCoordinatorResponse, 2).error_code)


def describe_group(client: ProtocolClient, group: str, version: int) -> int:
    coordinated(client, group)
    request = DescribeGroupsRequest(groups=[group], include_authorized_operations=False)
    return int(client.call(request, DescribeGroupsResponse, version).groups[0].error_code)


def delete_group(client: ProtocolClient, group: str) -> int:
    coordinated(client, group)
    request = DeleteGroupsRequest(groups_names=[group])
    return int(client.call(request, DeleteGroupsResponse, 2).results[0].error_code)


def delete_offsets(client: ProtocolClient, group: str, topic: str) -> int:
    coordinated(client, group)
    Topic = OffsetDeleteRequest.OffsetDeleteRequestTopic
    Partition = Topic.OffsetDeleteRequestPartition
    request = OffsetDeleteRequest(
        group_id=group, topics=[Topic(name=topic, partitions=[Partition(partition_index=0)])]
    )
    return int(client.call(request, OffsetDeleteResponse, 0).error_code)


def epoch_end(client: ProtocolClient, topic: str, current_epoch: int) -> int:
    Topic = OffsetForLeaderEpochRequest.OffsetForLeaderTopic
    wanted = Topic.OffsetForLeaderPartition(
        partition=0, current_leader_epoch=current_epoch, leader_epoch=0
    )
    request = OffsetForLeaderEpochRequest(
        replica_id=-1, topics=[Topic(topic=topic, partitions=[wanted])]
    )
    answer = client.call(request, OffsetForLeaderEpochResponse, 4)
    return int(answer.topics[0].partitions[0].error_code)
