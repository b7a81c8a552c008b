"""Wrong requests: both brokers answer with the same code, or by closing the connection."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable

import pytest
from broker_fixtures import Broker, unique
from kafka import errors as kafka_errors
from kafka.protocol.consumer import (
    FetchResponse,
    LeaveGroupRequest,
    LeaveGroupResponse,
)
from protocol_client import ProtocolClient, record_batch
from raw_admin import (
    create,
    create_on_unknown_broker,
    create_with_null,
    delete_group,
    delete_offsets,
    delete_records,
    delete_topic,
    describe_configs,
    describe_group,
    epoch_end,
    find_coordinator,
    grow,
    metadata,
    set_config,
)
from raw_groups import commit, heartbeat, join, sync
from raw_records import fetch, fetch_request, list_offset, produce
from raw_requests import coordinated
from raw_transactions import add_partition, init_producer

Ask = Callable[[ProtocolClient, str, str], int]


def _leave(client: ProtocolClient, group: str) -> int:
    Identity = LeaveGroupRequest.MemberIdentity
    first = join(client, group)
    sync(client, group, 1, first.member_id, {})
    request = LeaveGroupRequest(group_id=group, members=[Identity(member_id="nobody")])
    return int(client.call(request, LeaveGroupResponse, 5).members[0].error_code)


def _unknown_session(client: ProtocolClient, topic: str) -> int:
    return int(client.call(fetch_request(topic, 0, session_id=77), FetchResponse, 11).error_code)


def _two_batches() -> bytes:
    return record_batch(b"x") + record_batch(b"y")


def _with_bits(attributes: int) -> bytes:
    """A batch with these attributes and a CRC that is right."""
    from kafka.record.util import calc_crc32c

    batch = bytearray(record_batch(b"x", producer_id=1, epoch=0, sequence=0))
    struct.pack_into(">h", batch, 21, attributes)
    struct.pack_into(">I", batch, 17, calc_crc32c(bytes(batch[21:])))
    return bytes(batch)


_NO_ID = uuid.UUID(int=0)
_E = kafka_errors

#: What is asked (connection, an empty topic, a new group) -> the error that answers it.
WRONG: dict[str, tuple[Ask, type[kafka_errors.BrokerResponseError]]] = {
    "produce: acks that are none": (
        lambda c, t, g: produce(c, t, record_batch(b"x"), acks=2).error_code,
        _E.InvalidRequiredAcksError,
    ),
    "produce: two batches": (
        lambda c, t, g: produce(c, t, _two_batches()).error_code,
        _E.InvalidRecordError,
    ),
    "produce: a partition too many": (
        lambda c, t, g: produce(c, t, record_batch(b"x"), partition=9).error_code,
        _E.UnknownTopicOrPartitionError,
    ),
    "produce: a control batch": (
        lambda c, t, g: produce(c, t, _with_bits(0x20)).error_code,
        _E.InvalidRecordError,
    ),
    "fetch: before the beginning": (
        lambda c, t, g: fetch(c, t, -1).error_code,
        _E.OffsetOutOfRangeError,
    ),
    "fetch: a partition too many": (
        lambda c, t, g: fetch(c, t, 0, partition=9).error_code,
        _E.UnknownTopicOrPartitionError,
    ),
    "fetch: a leader epoch to come": (
        lambda c, t, g: fetch(c, t, 0, leader_epoch=1000).error_code,
        _E.UnknownLeaderEpochError,
    ),
    "fetch: a session that is not": (
        lambda c, t, g: _unknown_session(c, t),
        _E.FetchSessionIdNotFoundError,
    ),
    "list offsets: a partition too many": (
        lambda c, t, g: list_offset(c, t, -1, partition=9).error_code,
        _E.UnknownTopicOrPartitionError,
    ),
    "list offsets: a leader epoch to come": (
        lambda c, t, g: list_offset(c, t, -1, leader_epoch=1000).error_code,
        _E.UnknownLeaderEpochError,
    ),
    "end of epoch: a leader epoch to come": (
        lambda c, t, g: epoch_end(c, t, 1000),
        _E.UnknownLeaderEpochError,
    ),
    "delete records: beyond the end": (
        lambda c, t, g: delete_records(c, t, 5),
        _E.OffsetOutOfRangeError,
    ),
    "delete records: a negative offset": (
        lambda c, t, g: delete_records(c, t, -2),
        _E.OffsetOutOfRangeError,
    ),
    "delete records: a partition too many": (
        lambda c, t, g: delete_records(c, t, 0, partition=9),
        _E.UnknownTopicOrPartitionError,
    ),
    "create: one name twice": (
        lambda c, t, g: max(create(c, "twice", "twice")),
        _E.InvalidRequestError,
    ),
    "create: no partitions": (
        lambda c, t, g: create(c, unique("t"), num_partitions=0)[0],
        _E.InvalidPartitionsError,
    ),
    "create: no replicas": (
        lambda c, t, g: create(c, unique("t"), replication_factor=0)[0],
        _E.InvalidReplicationFactorError,
    ),
    "create: a setting without value": (
        lambda c, t, g: create_with_null(c),
        _E.InvalidConfigurationError,
    ),
    "create: on a broker that is not": (
        lambda c, t, g: create_on_unknown_broker(c),
        _E.InvalidReplicationAssignmentError,
    ),
    "create: the name is a dot": (lambda c, t, g: create(c, ".")[0], _E.InvalidTopicError),
    "grow: fewer partitions": (lambda c, t, g: grow(c, t, 0), _E.InvalidPartitionsError),
    "grow: as many partitions": (lambda c, t, g: grow(c, t, 1), _E.InvalidPartitionsError),
    "grow: an unknown topic": (
        lambda c, t, g: grow(c, unique("t"), 5),
        _E.UnknownTopicOrPartitionError,
    ),
    "delete: an unknown topic": (
        lambda c, t, g: delete_topic(c, unique("t"), _NO_ID),
        _E.UnknownTopicOrPartitionError,
    ),
    "delete: an unknown id": (
        lambda c, t, g: delete_topic(c, None, uuid.uuid4()),
        _E.UnknownTopicIdError,
    ),
    "metadata: an unknown id": (
        lambda c, t, g: metadata(c, None, uuid.uuid4()),
        _E.UnknownTopicIdError,
    ),
    "metadata: a name that cannot be": (
        lambda c, t, g: metadata(c, "a b", _NO_ID),
        _E.InvalidTopicError,
    ),
    "settings: of an unknown topic": (
        lambda c, t, g: describe_configs(c, unique("t")),
        _E.UnknownTopicOrPartitionError,
    ),
    "settings: of a name that cannot be": (
        lambda c, t, g: describe_configs(c, "a b"),
        _E.InvalidTopicError,
    ),
    "settings: set on an unknown topic": (
        lambda c, t, g: set_config(c, unique("t"), "retention.ms", "5"),
        _E.UnknownTopicOrPartitionError,
    ),
    "settings: set on a name that cannot be": (
        lambda c, t, g: set_config(c, "a b", "retention.ms", "5"),
        _E.InvalidTopicError,
    ),
    "settings: an unknown one": (
        lambda c, t, g: set_config(c, t, "no.such", "5"),
        _E.InvalidConfigurationError,
    ),
    "settings: set to nothing": (
        lambda c, t, g: set_config(c, t, "retention.ms", None),
        _E.InvalidRequestError,
    ),
    "coordinator: of a thing that is not": (
        lambda c, t, g: find_coordinator(c, g, 9),
        _E.InvalidRequestError,
    ),
    "join: no group": (lambda c, t, g: join(c, "").error_code, _E.InvalidGroupIdError),
    "join: no protocol": (
        lambda c, t, g: join(c, g, protocols=()).error_code,
        _E.InconsistentGroupProtocolError,
    ),
    "join: too long a session": (
        lambda c, t, g: join(c, g, timeout_ms=1_800_001).error_code,
        _E.InvalidSessionTimeoutError,
    ),
    "join: a member that is not": (
        lambda c, t, g: join(c, g, "nobody").error_code,
        _E.UnknownMemberIdError,
    ),
    "sync: an unknown group": (
        lambda c, t, g: (coordinated(c, g), sync(c, g, 1, "nobody", {}).error_code)[1],
        _E.UnknownMemberIdError,
    ),
    "heartbeat: an unknown group": (
        lambda c, t, g: (coordinated(c, g), heartbeat(c, g, "nobody", 1))[1],
        _E.UnknownMemberIdError,
    ),
    "heartbeat: no group": (
        lambda c, t, g: heartbeat(c, "", "nobody", 1),
        _E.InvalidGroupIdError,
    ),
    "leave: a member that is not": (lambda c, t, g: _leave(c, g), _E.UnknownMemberIdError),
    "commit: a generation of no group": (
        lambda c, t, g: commit(c, "", t, 1, "m", 1),
        _E.IllegalGenerationError,
    ),
    "commit: the group without a name is one": (
        lambda c, t, g: commit(c, "", t, 1),
        _E.NoError,
    ),
    "describe: an unknown group": (
        lambda c, t, g: describe_group(c, g, 6),
        _E.GroupIdNotFoundError,
    ),
    "describe: an unknown group, once no error": (
        lambda c, t, g: describe_group(c, g, 5),
        _E.NoError,
    ),
    "delete: an unknown group": (lambda c, t, g: delete_group(c, g), _E.GroupIdNotFoundError),
    "delete: offsets of an unknown group": (
        lambda c, t, g: delete_offsets(c, g, t),
        _E.GroupIdNotFoundError,
    ),
    "transactions: an empty id": (
        lambda c, t, g: init_producer(c, "").error_code,
        _E.InvalidRequestError,
    ),
    "transactions: no timeout": (
        lambda c, t, g: init_producer(c, g, timeout_ms=0).error_code,
        _E.InvalidTransactionTimeoutError,
    ),
    "transactions: a producer that never was gets an id": (
        lambda c, t, g: init_producer(c, g, producer_id=123456789, epoch=0).error_code,
        _E.NoError,
    ),
    "transactions: a partition too many": (
        lambda c, t, g: add_partition(c, g, init_producer(c, g).producer_id, 0, t, 9),
        _E.UnknownTopicOrPartitionError,
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_answer_is_this_error(broker: Broker, wire: ProtocolClient, what: str) -> None:
    ask, error = WRONG[what]
    topic = broker.topic()
    code = int(ask(wire, topic, unique("group")))
    assert kafka_errors.for_code(code) is error


def _frame(api: int, version: int, size: int | None = None) -> bytes:
    body = struct.pack(">hhih", api, version, 7, -1) + bytes(8)
    return struct.pack(">i", len(body) if size is None else size) + body


@pytest.mark.parametrize(
    "frame",
    [
        _frame(999, 0),  # an API that nobody knows
        _frame(3, 99),  # a version that nobody knows
        _frame(1, 3),  # one that is too old
        _frame(18, 0, size=-5),
        _frame(18, 0, size=200 * 1024 * 1024),
        struct.pack(">i", 2) + bytes(2),  # no whole header
    ],
    ids=["api", "version", "old version", "negative", "too large", "short"],
)
def test_what_is_no_request_closes_the_connection(
    broker: Broker, connect: Callable[[], ProtocolClient], frame: bytes
) -> None:
    wrong, good = connect(), connect()
    wrong.send_bytes(frame)
    assert wrong.is_closed()
    assert list_offset(good, broker.topic(), -1).offset == 0  # the others notice nothing
