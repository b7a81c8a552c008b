"""Topics through the administration of both clients."""

from __future__ import annotations

import pytest
from broker_fixtures import Broker, unique
from client_contract import Admin, Refused
from kafka import errors as kafka_errors
from kafka.admin import NewTopic
from members import wait_for
from protocol_client import ProtocolClient, record_batch
from raw_records import fetch, produce


def refused(error: type[kafka_errors.KafkaError], admin: Admin, *args: object) -> None:
    with pytest.raises(Refused) as caught:
        admin.create(*args)  # type: ignore[arg-type]
    assert caught.value.code == error.errno


def test_topics_are_created_described_and_deleted(broker: Broker, admin: Admin) -> None:
    topic = broker.topic(3, {"retention.ms": "86400000", "cleanup.policy": "compact,delete"})
    assert admin.topics()[topic] == 3
    expected = {
        "cleanup.policy": ("compact,delete", True),
        "retention.ms": ("86400000", True),
        "message.timestamp.type": ("CreateTime", False),
        "max.message.bytes": ("1048588", False),
    }
    assert admin.configs(topic, *expected) == expected
    admin.set_config(topic, "message.timestamp.type", "LogAppendTime")
    # A real broker shows a change in a moment after it has answered.
    name = "message.timestamp.type"
    wait_for(lambda: admin.configs(topic, name) == {name: ("LogAppendTime", True)})
    admin.delete(topic)
    assert topic not in admin.topics()


def test_topics_that_cannot_be_are_refused(broker: Broker, admin: Admin) -> None:
    topic = broker.topic()
    refused(kafka_errors.TopicAlreadyExistsError, admin, topic)
    refused(kafka_errors.InvalidTopicError, admin, "not/a/name")
    refused(kafka_errors.InvalidTopicError, admin, "x" * 250)
    refused(kafka_errors.InvalidReplicationFactorError, admin, unique("t"), 1, None, 2)
    assert admin.topics()[topic] == 1


@pytest.mark.parametrize(
    "configs",
    [
        "no.such=1",
        "retention.ms=soon",
        "retention.ms=-2",
        "retention.ms=1_000",
        "retention.ms=5.0",
        "max.message.bytes=-1",
        "max.message.bytes=2147483648",
        "retention.bytes=9223372036854775808",
        "segment.bytes=1048575",
        "segment.ms=0",
        "min.cleanable.dirty.ratio=1.5",
        "cleanup.policy=shred",
        "message.timestamp.type=logappendtime",
        "compression.type=GZIP",
        "preallocate=yes",
        "min.compaction.lag.ms=100 max.compaction.lag.ms=50",
        "remote.storage.enable=true",
    ],
)
def test_settings_that_kafka_would_not_take(broker: Broker, configs: str) -> None:
    topic = NewTopic(unique("t"), 1, 1, topic_configs=_parsed(configs))
    with pytest.raises(kafka_errors.InvalidConfigurationError):
        broker.admin.create_topics([topic], validate_only=True)


@pytest.mark.parametrize(
    "configs",
    [
        "retention.ms=-1 retention.bytes=-3",
        "max.message.bytes=+5",
        "segment.bytes=1048576",
        "min.cleanable.dirty.ratio=1",
        "cleanup.policy=delete,compact",
        "cleanup.policy=",
        "preallocate=TRUE",
        "compression.gzip.level=-1",
    ],
)
def test_settings_at_their_bounds(broker: Broker, configs: str) -> None:
    topic = NewTopic(unique("t"), 1, 1, topic_configs=_parsed(configs))
    broker.admin.create_topics([topic], validate_only=True)
    assert topic.name not in broker.admin.list_topics()


def _parsed(configs: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in configs.split())
    return {name: value for name, _, value in pairs}


def test_spaces_around_values_do_not_matter(broker: Broker, admin: Admin) -> None:
    topic = broker.topic(configs={"retention.ms": " 5000 ", "cleanup.policy": "compact, delete"})
    expected = {"retention.ms": ("5000", True), "cleanup.policy": ("compact,delete", True)}
    assert admin.configs(topic, *expected) == expected


def test_a_setting_that_cannot_be_changes_nothing(broker: Broker, admin: Admin) -> None:
    topic = broker.topic(configs={"retention.ms": "1000000"})
    with pytest.raises(Refused) as caught:
        admin.set_config(topic, "retention.ms", "soon")
    assert caught.value.code == kafka_errors.InvalidConfigurationError.errno
    assert admin.configs(topic, "retention.ms") == {"retention.ms": ("1000000", True)}


def test_an_unknown_topic_is_an_error_and_is_not_created(broker: Broker, admin: Admin) -> None:
    unknown = unique("unknown")
    code = kafka_errors.UnknownTopicOrPartitionError.errno
    with pytest.raises(Refused) as caught:
        admin.delete(unknown)
    assert caught.value.code == code
    assert unknown not in admin.topics()


def test_a_deleted_topic_is_gone_for_readers_and_writers(
    broker: Broker, admin: Admin, wire: ProtocolClient
) -> None:
    topic = broker.topic()
    assert produce(wire, topic, record_batch(b"x")).error_code == 0
    admin.delete(topic)
    code = kafka_errors.UnknownTopicOrPartitionError.errno
    # A real broker lets go of it a moment after it has answered.
    wait_for(lambda: produce(wire, topic, record_batch(b"x")).error_code == code)
    assert fetch(wire, topic, 0).error_code == code
    # A new topic of the same name begins empty.
    admin.create(topic)
    broker.wait_until_led(topic, 1)
    assert produce(wire, topic, record_batch(b"y")).base_offset == 0
    admin.delete(topic)
