"""Transactions: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn."""

from __future__ import annotations

from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.producer import (
    AddOffsetsToTxnResponse,
    AddPartitionsToTxnResponse,
    EndTxnResponse,
    InitProducerIdResponse,
)

from .state import BrokerState, Caller

_Added = AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult
_AddedPartition = _Added.AddPartitionsToTxnPartitionResult


def _code(error: kafka_errors.BrokerResponseError, knows_fencing: bool) -> int:
    """Clients from before PRODUCER_FENCED know the older name for it."""
    if isinstance(error, kafka_errors.ProducerFencedError) and not knows_fencing:
        return int(kafka_errors.InvalidProducerEpochError.errno)
    return int(error.errno)


async def init_producer_id(state: BrokerState, request: Any, caller: Caller) -> Any:
    try:
        producer_id, epoch = state.transactions.init_producer(
            request.transactional_id,
            request.transaction_timeout_ms,
            request.producer_id,
            request.producer_epoch,
        )
    except kafka_errors.BrokerResponseError as error:
        return InitProducerIdResponse(
            error_code=_code(error, caller.version >= 4), producer_id=-1, producer_epoch=-1
        )
    return InitProducerIdResponse(error_code=0, producer_id=producer_id, producer_epoch=epoch)


async def add_partitions_to_txn(state: BrokerState, request: Any, caller: Caller) -> Any:
    """All partitions are added, or none."""
    wanted = [
        (topic.name, index) for topic in request.v3_and_below_topics for index in topic.partitions
    ]
    codes = dict.fromkeys(wanted, 0)
    for partition in wanted:
        try:
            state.topics.log(*partition)
        except kafka_errors.UnknownTopicOrPartitionError as error:
            codes[partition] = error.errno
    if any(codes.values()):
        not_attempted = kafka_errors.OperationNotAttemptedError.errno
        codes = {partition: code or not_attempted for partition, code in codes.items()}
    else:
        try:
            state.transactions.add_partitions(
                request.v3_and_below_transactional_id,
                request.v3_and_below_producer_id,
                request.v3_and_below_producer_epoch,
                set(wanted),
            )
        except kafka_errors.BrokerResponseError as error:
            codes = dict.fromkeys(wanted, _code(error, caller.version >= 2))
    return AddPartitionsToTxnResponse(
        results_by_topic_v3_and_below=[
            _Added(
                name=topic.name,
                results_by_partition=[
                    _AddedPartition(
                        partition_index=index, partition_error_code=codes[topic.name, index]
                    )
                    for index in topic.partitions
                ],
            )
            for topic in request.v3_and_below_topics
        ]
    )


async def add_offsets_to_txn(state: BrokerState, request: Any, caller: Caller) -> Any:
    code = 0
    try:
        state.transactions.add_group(
            request.transactional_id, request.producer_id, request.producer_epoch, request.group_id
        )
    except kafka_errors.BrokerResponseError as error:
        code = _code(error, caller.version >= 2)
    return AddOffsetsToTxnResponse(error_code=code)


async def end_txn(state: BrokerState, request: Any, caller: Caller) -> Any:
    code = 0
    try:
        state.transactions.end(
            request.transactional_id,
            request.producer_id,
            request.producer_epoch,
            bool(request.committed),
        )
    except kafka_errors.BrokerResponseError as error:
        code = _code(error, caller.version >= 2)
    return EndTxnResponse(error_code=code)
