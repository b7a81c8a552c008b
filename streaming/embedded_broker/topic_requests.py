"""Metadata and topics: Metadata, DescribeCluster, CreateTopics, DeleteTopics, CreatePartitions."""

from __future__ import annotations

from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.admin import (
    CreatePartitionsResponse,
    CreateTopicsResponse,
    DeleteTopicsResponse,
    DescribeClusterResponse,
)
from kafka.protocol.metadata import MetadataResponse

from .settings import HOST, LEADER_EPOCH, NODE_ID
from .state import BrokerState, Caller
from .topic_config import ConfigSource, check_topic_name
from .topics import Topic

_TopicData = MetadataResponse.MetadataResponseTopic
_PartitionData = _TopicData.MetadataResponsePartition


async def metadata(state: BrokerState, request: Any, caller: Caller) -> Any:
    """Brokers and topics; an unknown topic has its error in its own entry."""
    everything = request.topics is None or (caller.version == 0 and not request.topics)
    if everything:
        topics = [_topic_data(topic) for topic in state.topics]
    else:
        may_create = state.settings.auto_create_topics and (
            caller.version < 4 or request.allow_auto_topic_creation
        )
        topics = [_requested(state, wanted, may_create) for wanted in request.topics]
    return MetadataResponse(
        brokers=[
            MetadataResponse.MetadataResponseBroker(node_id=NODE_ID, host=HOST, port=state.port)
        ],
        cluster_id=state.cluster_id,
        controller_id=NODE_ID,
        topics=topics,
    )


def _requested(state: BrokerState, wanted: Any, may_create: bool) -> Any:
    try:
        if wanted.name is None:
            return _topic_data(state.topics.by_id(wanted.topic_id))
        check_topic_name(wanted.name)
        try:
            return _topic_data(state.topics.get(wanted.name))
        except kafka_errors.UnknownTopicOrPartitionError:
            if not may_create:
                raise
            return _topic_data(state.topics.create(wanted.name))
    except kafka_errors.BrokerResponseError as error:
        return _TopicData(
            error_code=error.errno, name=wanted.name, topic_id=wanted.topic_id, partitions=[]
        )


def _topic_data(topic: Topic) -> Any:
    return _TopicData(
        error_code=0,
        name=topic.name,
        topic_id=topic.id,
        partitions=[
            _PartitionData(
                error_code=0,
                partition_index=index,
                leader_id=NODE_ID,
                leader_epoch=LEADER_EPOCH,
                replica_nodes=[NODE_ID],
                isr_nodes=[NODE_ID],
                offline_replicas=[],
            )
            for index in range(len(topic.partitions))
        ],
    )


async def describe_cluster(state: BrokerState, request: Any, caller: Caller) -> Any:
    return DescribeClusterResponse(
        error_code=0,
        cluster_id=state.cluster_id,
        controller_id=NODE_ID,
        brokers=[
            DescribeClusterResponse.DescribeClusterBroker(
                broker_id=NODE_ID, host=HOST, port=state.port
            )
        ],
    )


async def create_topics(state: BrokerState, request: Any, caller: Caller) -> Any:
    """Each topic succeeds or fails on its own."""
    names = [wanted.name for wanted in request.topics]
    results = []
    for wanted in request.topics:
        try:
            if names.count(wanted.name) > 1:
                raise kafka_errors.InvalidRequestError("Duplicate topic name.")
            results.append(_create(state, wanted, bool(request.validate_only)))
        except kafka_errors.BrokerResponseError as error:
            results.append(
                CreateTopicsResponse.CreatableTopicResult(
                    name=wanted.name, error_code=error.errno, error_message=_text(error)
                )
            )
    return CreateTopicsResponse(topics=results)


def _create(state: BrokerState, wanted: Any, validate_only: bool) -> Any:
    partitions = wanted.num_partitions
    if wanted.assignments:
        partitions = len(wanted.assignments)
        if any(list(each.broker_ids) != [NODE_ID] for each in wanted.assignments):
            raise kafka_errors.InvalidReplicationAssignmentError(
                "The manual partition assignment includes an unknown broker."
            )
    elif wanted.replication_factor not in (-1, 1):
        raise kafka_errors.InvalidReplicationFactorError(
            f"Unable to replicate the partition {wanted.replication_factor} time(s):"
            " only 1 broker(s) are registered."
        )
    for config in wanted.configs:
        if config.value is None:
            raise kafka_errors.InvalidConfigurationError(
                f"Null value not supported for topic configs: {config.name}"
            )
    topic = state.topics.create(
        wanted.name,
        partitions,
        {config.name: config.value for config in wanted.configs},
        validate_only,
    )
    return CreateTopicsResponse.CreatableTopicResult(
        name=topic.name,
        topic_id=topic.id,
        error_code=0,
        num_partitions=len(topic.partitions),
        replication_factor=1,
        configs=[
            CreateTopicsResponse.CreatableTopicResult.CreatableTopicConfigs(
                name=entry["name"],
                value=entry["value"],
                read_only=False,
                config_source=entry["config_source"],
                is_sensitive=False,
            )
            for entry in topic.config.describe(None)
            if entry["config_source"] != ConfigSource.DEFAULT
        ],
    )


async def create_partitions(state: BrokerState, request: Any, caller: Caller) -> Any:
    results = []
    for wanted in request.topics:
        code, message = 0, None
        try:
            topic = state.topics.get(wanted.name)
            if not request.validate_only:
                topic.grow(wanted.count)
        except kafka_errors.BrokerResponseError as error:
            code, message = error.errno, _text(error)
        results.append(
            CreatePartitionsResponse.CreatePartitionsTopicResult(
                name=wanted.name, error_code=code, error_message=message
            )
        )
    return CreatePartitionsResponse(results=results)


async def delete_topics(state: BrokerState, request: Any, caller: Caller) -> Any:
    if caller.version >= 6:
        wanted = [(topic.name, topic.topic_id) for topic in request.topics]
    else:
        wanted = [(name, None) for name in request.topic_names]
    results = []
    for name, topic_id in wanted:
        code, message = 0, None
        try:
            if name is None:
                name = state.topics.by_id(topic_id).name
            topic_id = state.topics.get(name).id
            state.delete_topic(name)
        except kafka_errors.BrokerResponseError as error:
            code, message = error.errno, _text(error)
        results.append(
            DeleteTopicsResponse.DeletableTopicResult(
                name=name, topic_id=topic_id, error_code=code, error_message=message
            )
        )
    return DeleteTopicsResponse(responses=results)


def _text(error: Exception) -> str | None:
    return str(error.args[0]) if error.args else None
