"""Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete, TxnOffsetCommit."""

from __future__ import annotations

from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.consumer import (
    OffsetCommitResponse,
    OffsetDeleteResponse,
    OffsetFetchResponse,
)
from kafka.protocol.producer import TxnOffsetCommitResponse

from .group_offsets import NO_OFFSET, TopicPartition
from .groups import Group
from .settings import MAX_OFFSET_METADATA_BYTES
from .state import BrokerState, Caller

_Committed = OffsetCommitResponse.OffsetCommitResponseTopic
_TxnCommitted = TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic
_OneGroup = OffsetFetchResponse.OffsetFetchResponseTopic
_ManyGroups = OffsetFetchResponse.OffsetFetchResponseGroup
_Deleted = OffsetDeleteResponse.OffsetDeleteResponseTopic


async def offset_commit(state: BrokerState, request: Any, caller: Caller) -> Any:
    """The group refuses the whole request, or each partition succeeds or fails on its own."""
    group: Group | None = None
    refused = 0
    try:
        group = state.groups.group_for_commit(
            request.group_id,
            request.member_id,
            request.group_instance_id,
            request.generation_id_or_member_epoch,
        )
    except kafka_errors.BrokerResponseError as error:
        refused = error.errno
    topics = []
    for topic in request.topics:
        partitions = []
        for wanted in topic.partitions:
            code = refused or _refusal(state, topic.name, wanted)
            if group is not None and not code:
                group.offsets.commit(
                    (topic.name, wanted.partition_index),
                    wanted.committed_offset,
                    wanted.committed_leader_epoch,
                    wanted.committed_metadata or "",
                )
            partitions.append(
                _Committed.OffsetCommitResponsePartition(
                    partition_index=wanted.partition_index, error_code=code
                )
            )
        topics.append(_Committed(name=topic.name, partitions=partitions))
    return OffsetCommitResponse(topics=topics)


async def txn_offset_commit(state: BrokerState, request: Any, caller: Caller) -> Any:
    """As offset_commit; the offsets become visible when the transaction commits."""
    group: Group | None = None
    refused = 0
    try:
        state.transactions.check_group(
            request.transactional_id, request.producer_id, request.producer_epoch, request.group_id
        )
        group = state.groups.group_for_commit(
            request.group_id,
            request.member_id,
            request.group_instance_id,
            request.generation_id,
            in_transaction=True,
        )
    except kafka_errors.ProducerFencedError:
        refused = kafka_errors.InvalidProducerEpochError.errno  # what a partition leader says
    except kafka_errors.BrokerResponseError as error:
        refused = error.errno
    topics = []
    for topic in request.topics:
        partitions = []
        for wanted in topic.partitions:
            code = refused or _refusal(state, topic.name, wanted)
            if group is not None and not code:
                group.offsets.commit_in_transaction(
                    request.producer_id,
                    (topic.name, wanted.partition_index),
                    wanted.committed_offset,
                    wanted.committed_leader_epoch,
                    wanted.committed_metadata or "",
                )
            partitions.append(
                _TxnCommitted.TxnOffsetCommitResponsePartition(
                    partition_index=wanted.partition_index, error_code=code
                )
            )
        topics.append(_TxnCommitted(name=topic.name, partitions=partitions))
    return TxnOffsetCommitResponse(topics=topics)


def _refusal(state: BrokerState, topic: str, wanted: Any) -> int:
    """Error code that one partition of a commit gets whatever its group; 0 for none."""
    try:
        state.topics.log(topic, wanted.partition_index)
        # Kafka's "bytes" are what Java calls the length of a string: units of UTF-16.
        metadata = (wanted.committed_metadata or "").encode("utf-16-le")
        if len(metadata) // 2 > MAX_OFFSET_METADATA_BYTES:
            raise kafka_errors.OffsetMetadataTooLargeError()
    except kafka_errors.BrokerResponseError as error:
        return int(error.errno)
    return 0


async def offset_fetch(state: BrokerState, request: Any, caller: Caller) -> Any:
    stable = bool(request.require_stable)
    if caller.version < 8:
        wanted = _wanted(state, request.group_id, request.topics, stable)
        return OffsetFetchResponse(
            topics=_offsets(state, request.group_id, wanted, stable, _OneGroup), error_code=0
        )
    groups = []
    for each in request.groups:
        wanted = _wanted(state, each.group_id, each.topics, stable)
        topics = _offsets(
            state, each.group_id, wanted, stable, _ManyGroups.OffsetFetchResponseTopics
        )
        groups.append(_ManyGroups(group_id=each.group_id, topics=topics, error_code=0))
    return OffsetFetchResponse(groups=groups)


def _wanted(
    state: BrokerState, group_id: str, topics: Any | None, stable: bool
) -> list[TopicPartition]:
    if topics is not None:
        return [(topic.name, index) for topic in topics for index in topic.partition_indexes]
    group = state.groups.find(group_id)
    if group is None:
        return []
    offsets = group.offsets
    return [
        partition
        for partition in offsets.partitions()
        if offsets.get(partition) is not None or (stable and offsets.is_unstable(partition))
    ]


def _offsets(
    state: BrokerState, group_id: str, wanted: list[TopicPartition], stable: bool, topic_class: Any
) -> list[Any]:
    """Entries by topic; a partition without an offset has -1."""
    group = state.groups.find(group_id)
    partition_class = getattr(
        topic_class,
        "OffsetFetchResponsePartition"
        if topic_class is _OneGroup
        else "OffsetFetchResponsePartitions",
    )
    by_topic: dict[str, list[Any]] = {}
    for topic, index in wanted:
        entry: dict[str, Any] = {"committed_offset": NO_OFFSET, "metadata": "", "error_code": 0}
        committed = None if group is None else group.offsets.get((topic, index))
        if group is not None and stable and group.offsets.is_unstable((topic, index)):
            entry["error_code"] = kafka_errors.UnstableOffsetCommitError.errno
        elif committed is not None:
            entry["committed_offset"] = committed.offset
            entry["committed_leader_epoch"] = committed.leader_epoch
            entry["metadata"] = committed.metadata
        by_topic.setdefault(topic, []).append(partition_class(partition_index=index, **entry))
    return [topic_class(name=name, partitions=each) for name, each in by_topic.items()]


async def offset_delete(state: BrokerState, request: Any, caller: Caller) -> Any:
    """Forgets offsets of topics that no member of the group is subscribed to."""
    group = state.groups.find(request.group_id)
    if group is None:
        return OffsetDeleteResponse(error_code=kafka_errors.GroupIdNotFoundError.errno, topics=[])
    if group.members:
        return OffsetDeleteResponse(error_code=kafka_errors.NonEmptyGroupError.errno, topics=[])
    topics = []
    for topic in request.topics:
        group.offsets.forget((topic.name, each.partition_index) for each in topic.partitions)
        topics.append(
            _Deleted(
                name=topic.name,
                partitions=[
                    _Deleted.OffsetDeleteResponsePartition(
                        partition_index=each.partition_index, error_code=0
                    )
                    for each in topic.partitions
                ],
            )
        )
    return OffsetDeleteResponse(error_code=0, topics=topics)
