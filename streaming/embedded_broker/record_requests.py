"""Records: Produce, Fetch with its long poll, ListOffsets, DeleteRecords, OffsetForLeaderEpoch."""

from __future__ import annotations

import asyncio
from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.admin import DeleteRecordsResponse
from kafka.protocol.consumer import (
    FetchResponse,
    ListOffsetsResponse,
    OffsetForLeaderEpochResponse,
    OffsetSpec,
)
from kafka.protocol.producer import ProduceResponse

from .partition_log import NO_OFFSET, NO_TIMESTAMP, PartitionLog
from .record_batches import transactional_producer
from .settings import LEADER_EPOCH
from .state import BrokerState, Caller
from .topics import now_ms

_READ_COMMITTED = 1
_NO_RESPONSE_ACKS = 0

_Produced = ProduceResponse.TopicProduceResponse
_ProducedPartition = _Produced.PartitionProduceResponse
_Fetched = FetchResponse.FetchableTopicResponse
_FetchedPartition = _Fetched.PartitionData
_Aborted = _FetchedPartition.AbortedTransaction
_Offsets = ListOffsetsResponse.ListOffsetsTopicResponse
_PartitionOffset = _Offsets.ListOffsetsPartitionResponse
_Epochs = OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult
_EpochEnd = _Epochs.EpochEndOffset
_Deleted = DeleteRecordsResponse.DeleteRecordsTopicResult
_DeletedPartition = _Deleted.DeleteRecordsPartitionResult


async def produce(state: BrokerState, request: Any, caller: Caller) -> Any | None:
    """Appends each partition's batch; no response where the producer asked for none."""
    now = now_ms()
    responses = [
        _Produced(
            name=topic.name,
            partition_responses=[
                _append(state, request, topic.name, partition, now)
                for partition in topic.partition_data
            ],
        )
        for topic in request.topic_data
    ]
    if request.acks == _NO_RESPONSE_ACKS:
        return None
    return ProduceResponse(responses=responses)


def _append(state: BrokerState, request: Any, topic: str, partition: Any, now: int) -> Any:
    try:
        if request.acks not in (-1, 0, 1):
            raise kafka_errors.InvalidRequiredAcksError()
        log = state.topics.log(topic, partition.index)
        producer = transactional_producer(partition.records)
        if producer is not None:
            state.transactions.check_partition(
                request.transactional_id, *producer, (topic, partition.index)
            )
        appended = log.append(partition.records, now)
    except kafka_errors.BrokerResponseError as error:
        return _ProducedPartition(
            index=partition.index,
            error_code=error.errno,
            base_offset=NO_OFFSET,
            log_append_time_ms=NO_TIMESTAMP,
            error_message=str(error.args[0]) if error.args else None,
        )
    return _ProducedPartition(
        index=partition.index,
        error_code=0,
        base_offset=appended.base_offset,
        log_append_time_ms=appended.append_time,
        log_start_offset=log.start_offset,
    )


async def fetch(state: BrokerState, request: Any, caller: Caller) -> Any:
    """Answers when `min_bytes` are there, on an error, or after `max_wait_ms`."""
    if request.session_id != 0:
        return FetchResponse(
            error_code=kafka_errors.FetchSessionIdNotFoundError.errno, responses=[]
        )
    deadline = asyncio.get_running_loop().time() + request.max_wait_ms / 1000
    news = asyncio.Event()
    watched: list[PartitionLog] = []
    try:
        while True:
            news.clear()
            responses, size, failed = _read(state, request)
            if size >= request.min_bytes or failed or not responses:
                break
            if asyncio.get_running_loop().time() >= deadline:
                break
            if not watched:
                watched = _watch(state, request, news)
            try:
                async with asyncio.timeout_at(deadline):
                    await news.wait()
            except TimeoutError:
                pass  # one more look, then the empty answer
    finally:
        for log in watched:
            log.unwatch(news)
    # Session id 0 says that no fetch session was opened: the next request names all partitions.
    return FetchResponse(error_code=0, session_id=0, responses=responses)


def _watch(state: BrokerState, request: Any, news: asyncio.Event) -> list[PartitionLog]:
    logs = [
        state.topics.log(topic.topic, partition.partition)
        for topic in request.topics
        for partition in topic.partitions
    ]
    for log in logs:
        log.watch(news)
    return logs


def _read(state: BrokerState, request: Any) -> tuple[list[Any], int, bool]:
    """(responses by topic, bytes of records in them, whether a partition has an error)."""
    size = 0
    failed = False
    responses = []
    for topic in request.topics:
        partitions = []
        for wanted in topic.partitions:
            try:
                data = _read_partition(state, request, topic.topic, wanted, size)
                size += len(data.records)
            except kafka_errors.BrokerResponseError as error:
                failed = True
                data = _FetchedPartition(
                    partition_index=wanted.partition,
                    error_code=error.errno,
                    high_watermark=NO_OFFSET,
                    records=b"",
                )
            partitions.append(data)
        responses.append(_Fetched(topic=topic.topic, partitions=partitions))
    return responses, size, failed


def _read_partition(state: BrokerState, request: Any, topic: str, wanted: Any, size: int) -> Any:
    log = state.topics.log(topic, wanted.partition)
    _check_leader_epoch(wanted.current_leader_epoch)
    committed_only = request.isolation_level == _READ_COMMITTED
    room = min(wanted.partition_max_bytes, request.max_bytes - size)
    start = wanted.fetch_offset
    chunks, end = log.read(start, room, committed_only, at_least_one=size == 0)
    aborted = None
    if committed_only:
        aborted = [
            _Aborted(producer_id=each.producer_id, first_offset=each.first_offset)
            for each in log.aborted_between(start, end)
        ]
    return _FetchedPartition(
        partition_index=wanted.partition,
        error_code=0,
        high_watermark=log.end_offset,
        last_stable_offset=log.last_stable_offset,
        log_start_offset=log.start_offset,
        aborted_transactions=aborted,
        records=chunks[0] if len(chunks) == 1 else b"".join(chunks),
    )


def _check_leader_epoch(epoch: int) -> None:
    if epoch > LEADER_EPOCH:
        raise kafka_errors.UnknownLeaderEpochError()


async def list_offsets(state: BrokerState, request: Any, caller: Caller) -> Any:
    committed_only = request.isolation_level == _READ_COMMITTED
    topics = []
    for topic in request.topics:
        partitions = []
        for wanted in topic.partitions:
            entry = {"partition_index": wanted.partition_index, "error_code": 0}
            try:
                log = state.topics.log(topic.name, wanted.partition_index)
                _check_leader_epoch(wanted.current_leader_epoch)
                offset, timestamp = _find_offset(log, wanted.timestamp, committed_only)
                epoch = LEADER_EPOCH if offset >= 0 else -1
                entry |= {"offset": offset, "timestamp": timestamp, "leader_epoch": epoch}
            except kafka_errors.BrokerResponseError as error:
                entry["error_code"] = error.errno
            partitions.append(_PartitionOffset(**entry))
        topics.append(_Offsets(name=topic.name, partitions=partitions))
    return ListOffsetsResponse(topics=topics)


def _find_offset(log: PartitionLog, timestamp: int, committed_only: bool) -> tuple[int, int]:
    if timestamp == OffsetSpec.LATEST:
        return log.readable_end(committed_only), NO_TIMESTAMP
    if timestamp in (OffsetSpec.EARLIEST, OffsetSpec.EARLIEST_LOCAL):
        return log.start_offset, NO_TIMESTAMP
    if timestamp == OffsetSpec.MAX_TIMESTAMP:
        return log.offset_of_max_timestamp()
    if timestamp < 0:  # LATEST_TIERED: there is no tiered storage here
        return NO_OFFSET, NO_TIMESTAMP
    return log.offset_for_time(timestamp, committed_only)


async def delete_records(state: BrokerState, request: Any, caller: Caller) -> Any:
    topics = []
    for topic in request.topics:
        partitions = []
        for wanted in topic.partitions:
            code, start = 0, NO_OFFSET
            try:
                log = state.topics.log(topic.name, wanted.partition_index)
                start = log.delete_before(wanted.offset)
            except kafka_errors.BrokerResponseError as error:
                code = error.errno
            partitions.append(
                _DeletedPartition(
                    partition_index=wanted.partition_index, low_watermark=start, error_code=code
                )
            )
        topics.append(_Deleted(name=topic.name, partitions=partitions))
    return DeleteRecordsResponse(topics=topics)


async def offset_for_leader_epoch(state: BrokerState, request: Any, caller: Caller) -> Any:
    """There is one leader epoch; it ends at the end of the log."""
    topics = []
    for topic in request.topics:
        partitions = []
        for wanted in topic.partitions:
            entry: dict[str, int] = {"partition": wanted.partition, "error_code": 0}
            try:
                log = state.topics.log(topic.topic, wanted.partition)
                _check_leader_epoch(wanted.current_leader_epoch)
                if wanted.leader_epoch == LEADER_EPOCH:
                    entry |= {"leader_epoch": LEADER_EPOCH, "end_offset": log.end_offset}
            except kafka_errors.BrokerResponseError as error:
                entry["error_code"] = error.errno
            partitions.append(_EpochEnd(**entry))
        topics.append(_Epochs(topic=topic.topic, partitions=partitions))
    return OffsetForLeaderEpochResponse(topics=topics)
