"""What is checked before the first message is read: each failure is one sentence."""

from __future__ import annotations

import logging
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from session_rec.errors import UserError
from streaming.config import StreamConfig
from streaming.kafka_clients import MAX_REQUEST_BYTES, make_admin

log = logging.getLogger(__name__)

_UNKNOWN_TOPIC = 3
_NOT_AUTHORIZED = 29


def check_cluster(config: StreamConfig, reach_ms: int) -> int:
    """Checks that the cluster is there, and the topics, and that none of them eats our input.

    Args:
        config: the daemon's settings.
        reach_ms: the longest age of an event that a live context may hold.

    Returns:
        The largest record, in bytes, that the dead-letter topic takes.

    Raises:
        UserError: one sentence, naming what is missing and how to get it.
    """
    topics = config.topics
    admin = make_admin(config.kafka)
    try:
        check_topics(
            admin, config.kafka.servers, (topics.events, topics.predictions, topics.dead_letters)
        )
        found = _topic_settings(admin, [topics.events, topics.dead_letters])
    finally:
        admin.close()
    events = found.get(topics.events, {})
    if "compact" in events.get("cleanup.policy", ""):
        raise UserError(
            f"topic {topics.events!r} is compacted: events of one session share a key and would be "
            "deleted; set its cleanup.policy to delete"
        )
    stamped_on_arrival = events.get("message.timestamp.type") == "LogAppendTime"
    if stamped_on_arrival and config.max_future_skew_s != "off":
        log.warning(
            "topic %s stamps records on arrival: events more than %s s ahead of the broker's clock "
            'become dead letters; with a made-up clock set max_future_skew_s = "off"',
            topics.events,
            config.max_future_skew_s,
        )
    warn_of_retention(topics.events, events.get("retention.ms"), reach_ms)
    limit = found.get(topics.dead_letters, {}).get("max.message.bytes")
    return min(int(limit), MAX_REQUEST_BYTES) if limit else MAX_REQUEST_BYTES


def warn_of_retention(topic: str, retention_ms: str | None, reach_ms: int) -> bool:
    """Warns where the topic forgets sooner than a live context does: a state that is read back
    after a restart lacks events then. Returns whether it did.

    Args:
        topic: the events topic.
        retention_ms: its ``retention.ms`` as the cluster writes it, -1 for unlimited; None where
            it is not known.
        reach_ms: the longest age of an event that a live context may hold.
    """
    if retention_ms is None or not 0 <= int(retention_ms) < reach_ms:
        return False
    log.warning(
        "topic %s keeps records for %g h, a live context may reach %g h back: contexts that are "
        "rebuilt after a restart may lack events; set its retention.ms to %d or more, or state_dir",
        topic,
        int(retention_ms) / 3_600_000,
        reach_ms / 3_600_000,
        reach_ms,
    )
    return True


def check_topics(admin: KafkaAdminClient, servers: str, names: tuple[str, ...]) -> None:
    """Checks that the topics exist.

    Raises:
        UserError: one does not; the sentence says how to create it.
    """
    try:
        found = {t["name"]: t["error_code"] for t in admin.describe_topics(list(names))}
    except KafkaError as e:
        raise UserError(f"the topics of Kafka at {servers} cannot be listed: {e}") from None
    for name in names:
        code = found.get(name, _UNKNOWN_TOPIC)
        if code == _UNKNOWN_TOPIC:
            raise UserError(
                f"topic {name!r} does not exist on Kafka at {servers}: create it, for example with "
                f"kafka-topics.sh --bootstrap-server {servers.split(',')[0]} --create "
                f"--topic {name} --partitions 4"
            )
        if code == _NOT_AUTHORIZED:
            raise UserError(f"we may not use topic {name!r} on Kafka at {servers}: grant access")


def _topic_settings(admin: KafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """Setting -> value by topic; empty where the cluster does not let us see them."""
    wanted = ["cleanup.policy", "message.timestamp.type", "max.message.bytes", "retention.ms"]
    try:
        described: dict[str, Any] = admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in names],
            config_filter="all",
        )["topic"]
    except (KafkaError, KeyError) as e:
        log.warning("the topics' settings cannot be seen (%s): not checked for compaction", e)
        return {}
    return {
        name: {key: str(entry["value"]) for key, entry in described.get(name, {}).items()}
        for name in names
    }
