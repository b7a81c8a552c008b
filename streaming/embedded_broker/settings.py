"""Settings of the embedded broker, and the topic configuration that it knows.

The names, types and defaults are those of Apache Kafka 4.3, with one exception: `retention.ms`
is unlimited by default, because recorded sessions are played with their own, old timestamps and
a demo must not lose them. DescribeConfigs says so, as for any broker with `log.retention.ms=-1`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from kafka import errors as kafka_errors

NODE_ID = 1
HOST = "127.0.0.1"
LEADER_EPOCH = 0
MAX_REQUEST_BYTES = 100 * 1024 * 1024  # socket.request.max.bytes
MAX_OFFSET_METADATA_BYTES = 4096  # offset.metadata.max.bytes

_LONG_MAX = 9223372036854775807


class ConfigSource(IntEnum):
    """Where DescribeConfigs says that a value comes from."""

    DYNAMIC_TOPIC = 1
    STATIC_BROKER = 4
    DEFAULT = 5


class _Type(IntEnum):
    BOOLEAN = 1
    STRING = 2
    INT = 3
    LONG = 5
    DOUBLE = 6
    LIST = 7


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What the broker as a whole is told; times in milliseconds, sizes in bytes."""

    port: int = 0
    auto_create_topics: bool = False
    default_partitions: int = 1
    retention_ms: int = -1
    retention_bytes: int = -1
    retention_check_ms: int = 1_000
    max_message_bytes: int = 1_048_588
    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    initial_rebalance_delay_ms: int = 0
    max_transaction_timeout_ms: int = 900_000


# name -> (type, default); the whole list that Apache Kafka 4.3 knows.
_TOPIC_CONFIGS: dict[str, tuple[_Type, str]] = {
    "cleanup.policy": (_Type.LIST, "delete"),
    "compression.gzip.level": (_Type.INT, "-1"),
    "compression.lz4.level": (_Type.INT, "9"),
    "compression.type": (_Type.STRING, "producer"),
    "compression.zstd.level": (_Type.INT, "3"),
    "delete.retention.ms": (_Type.LONG, "86400000"),
    "file.delete.delay.ms": (_Type.LONG, "60000"),
    "flush.messages": (_Type.LONG, str(_LONG_MAX)),
    "flush.ms": (_Type.LONG, str(_LONG_MAX)),
    "follower.replication.throttled.replicas": (_Type.LIST, ""),
    "index.interval.bytes": (_Type.INT, "4096"),
    "leader.replication.throttled.replicas": (_Type.LIST, ""),
    "local.retention.bytes": (_Type.LONG, "-2"),
    "local.retention.ms": (_Type.LONG, "-2"),
    "max.compaction.lag.ms": (_Type.LONG, str(_LONG_MAX)),
    "max.message.bytes": (_Type.INT, "1048588"),
    "message.timestamp.after.max.ms": (_Type.LONG, "3600000"),
    "message.timestamp.before.max.ms": (_Type.LONG, str(_LONG_MAX)),
    "message.timestamp.type": (_Type.STRING, "CreateTime"),
    "min.cleanable.dirty.ratio": (_Type.DOUBLE, "0.5"),
    "min.compaction.lag.ms": (_Type.LONG, "0"),
    "min.insync.replicas": (_Type.INT, "1"),
    "preallocate": (_Type.BOOLEAN, "false"),
    "remote.log.copy.disable": (_Type.BOOLEAN, "false"),
    "remote.log.delete.on.disable": (_Type.BOOLEAN, "false"),
    "remote.storage.enable": (_Type.BOOLEAN, "false"),
    "retention.bytes": (_Type.LONG, "-1"),
    "retention.ms": (_Type.LONG, "604800000"),
    "segment.bytes": (_Type.INT, "1073741824"),
    "segment.index.bytes": (_Type.INT, "10485760"),
    "segment.jitter.ms": (_Type.LONG, "0"),
    "segment.ms": (_Type.LONG, "604800000"),
    "unclean.leader.election.enable": (_Type.BOOLEAN, "false"),
}

_CHOICES = {
    "message.timestamp.type": {"CreateTime", "LogAppendTime"},
    "compression.type": {"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"},
}
_CLEANUP_POLICIES = {"delete", "compact"}
_TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def check_topic_name(name: str | None) -> None:
    """Raises InvalidTopicError for a name that Kafka would not take."""
    if name is None or not _TOPIC_NAME.fullmatch(name) or name in (".", ".."):
        raise kafka_errors.InvalidTopicError(f"Topic name is invalid: {name!r}")


def _check_value(name: str, value: str) -> None:
    kind = _TOPIC_CONFIGS[name][0]
    try:
        if kind in (_Type.INT, _Type.LONG):
            int(value)
        elif kind is _Type.DOUBLE:
            float(value)
    except ValueError:
        raise kafka_errors.InvalidConfigurationError(
            f"Invalid value {value} for configuration {name}: Not a number of type {kind.name}"
        ) from None
    if kind is _Type.BOOLEAN and value.lower() not in ("true", "false"):
        raise kafka_errors.InvalidConfigurationError(
            f"Invalid value {value} for configuration {name}: Expected value to be true or false"
        )
    if name in _CHOICES and value not in _CHOICES[name]:
        raise kafka_errors.InvalidConfigurationError(
            f"Invalid value {value} for configuration {name}: String must be one of: "
            + ", ".join(sorted(_CHOICES[name]))
        )
    if name == "cleanup.policy" and not set(value.split(",")) <= _CLEANUP_POLICIES:
        raise kafka_errors.InvalidConfigurationError(
            f"Invalid value {value} for configuration {name}:"
            " String must be one of: compact, delete"
        )


class TopicConfig:
    """Configuration of one topic: what was set on it, over the broker's own, over the defaults."""

    def __init__(self, settings: BrokerSettings, overrides: dict[str, str]) -> None:
        self._broker = {
            "retention.ms": str(settings.retention_ms),
            "retention.bytes": str(settings.retention_bytes),
            "max.message.bytes": str(settings.max_message_bytes),
        }
        self._overrides: dict[str, str] = {}
        self.update({**overrides})

    def update(self, changes: dict[str, str | None]) -> None:
        """Sets the values; None goes back to the default.

        Raises InvalidConfigurationError and changes nothing if one of them is not valid.
        """
        for name, value in changes.items():
            if name not in _TOPIC_CONFIGS:
                raise kafka_errors.InvalidConfigurationError(f"Unknown topic config name: {name}")
            if value is not None:
                _check_value(name, value)
        for name, value in changes.items():
            if value is None:
                self._overrides.pop(name, None)
            else:
                self._overrides[name] = value
        self._read()

    def _read(self) -> None:
        # Read once: these are looked at for every produced batch.
        self.max_message_bytes = int(self.value("max.message.bytes"))
        self.retention_ms = int(self.value("retention.ms"))
        self.retention_bytes = int(self.value("retention.bytes"))
        self.deletes = "delete" in self.value("cleanup.policy").split(",")
        self.compacts = "compact" in self.value("cleanup.policy").split(",")
        self.log_append_time = self.value("message.timestamp.type") == "LogAppendTime"
        self.timestamp_before_max_ms = int(self.value("message.timestamp.before.max.ms"))
        self.timestamp_after_max_ms = int(self.value("message.timestamp.after.max.ms"))

    def value(self, name: str) -> str:
        """The value in force."""
        if name in self._overrides:
            return self._overrides[name]
        return self._broker.get(name, _TOPIC_CONFIGS[name][1])

    def describe(self, names: list[str] | None) -> list[dict[str, Any]]:
        """One entry per known name: name, value, config_source, config_type."""
        entries = []
        for name, (kind, default) in _TOPIC_CONFIGS.items():
            if names is not None and name not in names:
                continue
            value = self.value(name)
            if name in self._overrides:
                source = ConfigSource.DYNAMIC_TOPIC
            elif value != default:
                source = ConfigSource.STATIC_BROKER
            else:
                source = ConfigSource.DEFAULT
            entries.append(
                {
                    "name": name,
                    "value": value,
                    "config_source": int(source),
                    "config_type": int(kind),
                }
            )
        return entries
