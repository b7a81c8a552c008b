"""The embedded broker speaks no API and no version that Apache Kafka does not speak."""

from __future__ import annotations

import pytest
from broker_fixtures import Broker
from kafka import errors as kafka_errors
from kafka.protocol.metadata import ApiVersionsRequest, ApiVersionsResponse
from protocol_client import ProtocolClient

#: What the daemon, its tools and the suite ask for; whoever adds an API writes it down here.
SPOKEN = {
    0: "Produce",
    1: "Fetch",
    2: "ListOffsets",
    3: "Metadata",
    8: "OffsetCommit",
    9: "OffsetFetch",
    10: "FindCoordinator",
    11: "JoinGroup",
    12: "Heartbeat",
    13: "LeaveGroup",
    14: "SyncGroup",
    15: "DescribeGroups",
    16: "ListGroups",
    18: "ApiVersions",
    19: "CreateTopics",
    20: "DeleteTopics",
    21: "DeleteRecords",
    22: "InitProducerId",
    23: "OffsetForLeaderEpoch",
    24: "AddPartitionsToTxn",
    25: "AddOffsetsToTxn",
    26: "EndTxn",
    28: "TxnOffsetCommit",
    32: "DescribeConfigs",
    37: "CreatePartitions",
    42: "DeleteGroups",
    44: "IncrementalAlterConfigs",
    47: "OffsetDelete",
    60: "DescribeCluster",
}


def api_versions(broker: Broker, version: int) -> dict[int, tuple[int, int]]:
    """API key -> oldest and newest version."""
    request = ApiVersionsRequest(client_software_name="test", client_software_version="1")
    client = ProtocolClient(broker.bootstrap_servers)
    answer = client.call(request, ApiVersionsResponse, version)
    client.close()
    assert answer.error_code == 0
    return {api.api_key: (api.min_version, api.max_version) for api in answer.api_keys}


def test_every_version_of_the_embedded_broker_is_one_of_apache_kafkas(
    embedded_broker: Broker, apache_broker: Broker
) -> None:
    here, real = api_versions(embedded_broker, 3), api_versions(apache_broker, 3)
    assert here.keys() == SPOKEN.keys()
    assert here.keys() <= real.keys()
    for key, (oldest, newest) in here.items():
        assert oldest <= newest, SPOKEN[key]
        assert real[key][0] <= oldest and newest <= real[key][1], (
            f"{SPOKEN[key]}: {oldest} to {newest}, but Apache Kafka {real[key]}"
        )


@pytest.mark.parametrize("version", range(5))
def test_each_version_of_the_question_has_the_same_answer(broker: Broker, version: int) -> None:
    assert api_versions(broker, version) == api_versions(broker, 3)


def test_a_client_from_the_future_hears_which_versions_there_are(
    broker: Broker, wire: ProtocolClient
) -> None:
    # The header of a version that nobody knows yet; v0 of the answer is what all understand.
    request = ApiVersionsRequest()
    request.API_VERSION = 4
    request.with_header(correlation_id=7, client_id="test")
    frame = bytearray(request.encode(framed=True, header=True))
    frame[6:8] = (99).to_bytes(2, "big")
    wire.send_bytes(frame)
    answer = wire.receive(ApiVersionsResponse, 0)
    assert answer.error_code == kafka_errors.UnsupportedVersionError.errno
