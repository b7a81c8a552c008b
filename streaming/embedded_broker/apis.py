"""The APIs that the broker speaks: key, versions, messages and handler of each.

The versions are those of Apache Kafka 4.3 up to what the handlers know: topics are named, not
numbered (Fetch 13, Produce 13, OffsetCommit 10 …), and transactions are of version 1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from kafka.protocol import admin, consumer, producer
from kafka.protocol import metadata as cluster

from . import (
    config_requests,
    group_requests,
    offset_requests,
    record_requests,
    topic_requests,
    transaction_requests,
)
from .state import BrokerState, Caller

Handler = Callable[[BrokerState, Any, Caller], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Api:
    """One API; versions from `oldest` to `newest` are answered."""

    request: Any
    oldest: int
    newest: int
    handle: Handler


async def _api_versions(state: BrokerState, request: Any, caller: Caller) -> Any:
    return api_versions_response(error_code=0)


def api_versions_response(error_code: int) -> Any:
    """The list of all APIs; the error is for a client that asked in too new a version."""
    return cluster.ApiVersionsResponse(
        error_code=error_code,
        api_keys=[
            cluster.ApiVersionsResponse.ApiVersion(
                api_key=key, min_version=api.oldest, max_version=api.newest
            )
            for key, api in sorted(APIS.items())
        ],
    )


_ALL = (
    # Produce 0 to 2 are named and not spoken, as Apache Kafka does for the sake of librdkafka.
    Api(producer.ProduceRequest, 0, 11, record_requests.produce),
    Api(consumer.FetchRequest, 4, 12, record_requests.fetch),
    Api(consumer.ListOffsetsRequest, 1, 9, record_requests.list_offsets),
    Api(consumer.OffsetForLeaderEpochRequest, 2, 4, record_requests.offset_for_leader_epoch),
    Api(admin.DeleteRecordsRequest, 0, 2, record_requests.delete_records),
    Api(cluster.MetadataRequest, 0, 12, topic_requests.metadata),
    Api(admin.DescribeClusterRequest, 0, 1, topic_requests.describe_cluster),
    Api(admin.CreateTopicsRequest, 2, 7, topic_requests.create_topics),
    Api(admin.CreatePartitionsRequest, 0, 3, topic_requests.create_partitions),
    Api(admin.DeleteTopicsRequest, 1, 6, topic_requests.delete_topics),
    Api(admin.DescribeConfigsRequest, 1, 4, config_requests.describe_configs),
    Api(admin.IncrementalAlterConfigsRequest, 0, 1, config_requests.incremental_alter_configs),
    Api(cluster.FindCoordinatorRequest, 0, 5, group_requests.find_coordinator),
    Api(consumer.JoinGroupRequest, 0, 9, group_requests.join_group),
    Api(consumer.SyncGroupRequest, 0, 5, group_requests.sync_group),
    Api(consumer.HeartbeatRequest, 0, 4, group_requests.heartbeat),
    Api(consumer.LeaveGroupRequest, 0, 5, group_requests.leave_group),
    Api(admin.DescribeGroupsRequest, 0, 6, group_requests.describe_groups),
    Api(admin.ListGroupsRequest, 0, 5, group_requests.list_groups),
    Api(admin.DeleteGroupsRequest, 0, 2, group_requests.delete_groups),
    Api(consumer.OffsetCommitRequest, 2, 9, offset_requests.offset_commit),
    Api(consumer.OffsetFetchRequest, 1, 9, offset_requests.offset_fetch),
    Api(consumer.OffsetDeleteRequest, 0, 0, offset_requests.offset_delete),
    Api(producer.TxnOffsetCommitRequest, 0, 3, offset_requests.txn_offset_commit),
    Api(producer.InitProducerIdRequest, 0, 5, transaction_requests.init_producer_id),
    Api(producer.AddPartitionsToTxnRequest, 0, 3, transaction_requests.add_partitions_to_txn),
    Api(producer.AddOffsetsToTxnRequest, 0, 3, transaction_requests.add_offsets_to_txn),
    Api(producer.EndTxnRequest, 0, 3, transaction_requests.end_txn),
    Api(cluster.ApiVersionsRequest, 0, 4, _api_versions),
)

APIS: dict[int, Api] = {api.request.API_KEY: api for api in _ALL}
API_VERSIONS_KEY: int = cluster.ApiVersionsRequest.API_KEY
