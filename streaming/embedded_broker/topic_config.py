"""The configuration of one topic: names, types, bounds and defaults of Apache Kafka 4.3."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from kafka import errors as kafka_errors

from .settings import BrokerSettings

_INT_MAX = 2147483647
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
class _Setting:
    kind: _Type
    default: str
    low: float = 0
    high: float | None = None


def _int(default: int, low: int = 0, high: int = _INT_MAX) -> _Setting:
    return _Setting(_Type.INT, str(default), low, high)


def _long(default: int, low: int = 0) -> _Setting:
    return _Setting(_Type.LONG, str(default), low, _LONG_MAX)


_FALSE = _Setting(_Type.BOOLEAN, "false")
_NO_REPLICAS = _Setting(_Type.LIST, "")

#: The whole list that Apache Kafka 4.3 knows.
_TOPIC_CONFIGS: dict[str, _Setting] = {
    "cleanup.policy": _Setting(_Type.LIST, "delete"),
    "compression.gzip.level": _int(-1, -1, 9),
    "compression.lz4.level": _int(9, 1, 17),
    "compression.type": _Setting(_Type.STRING, "producer"),
    "compression.zstd.level": _int(3, -131072, 22),
    "delete.retention.ms": _long(86_400_000),
    "file.delete.delay.ms": _long(60_000),
    "flush.messages": _long(_LONG_MAX, 1),
    "flush.ms": _long(_LONG_MAX),
    "follower.replication.throttled.replicas": _NO_REPLICAS,
    "index.interval.bytes": _int(4096),
    "leader.replication.throttled.replicas": _NO_REPLICAS,
    "local.retention.bytes": _long(-2, -2),
    "local.retention.ms": _long(-2, -2),
    "max.compaction.lag.ms": _long(_LONG_MAX, 1),
    "max.message.bytes": _int(1_048_588),
    "message.timestamp.after.max.ms": _long(3_600_000),
    "message.timestamp.before.max.ms": _long(_LONG_MAX),
    "message.timestamp.type": _Setting(_Type.STRING, "CreateTime"),
    "min.cleanable.dirty.ratio": _Setting(_Type.DOUBLE, "0.5", 0, 1),
    "min.compaction.lag.ms": _long(0),
    "min.insync.replicas": _int(1, 1),
    "preallocate": _FALSE,
    "remote.log.copy.disable": _FALSE,
    "remote.log.delete.on.disable": _FALSE,
    "remote.storage.enable": _FALSE,
    "retention.bytes": _long(-1, -_LONG_MAX - 1),
    "retention.ms": _long(604_800_000, -1),
    "segment.bytes": _int(1_073_741_824, 1_048_576),
    "segment.index.bytes": _int(10_485_760, 4),
    "segment.jitter.ms": _long(0),
    "segment.ms": _long(604_800_000, 1),
    "unclean.leader.election.enable": _FALSE,
}

_CHOICES = {
    "message.timestamp.type": {"CreateTime", "LogAppendTime"},
    "compression.type": {"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"},
}
_CLEANUP_POLICIES = {"delete", "compact"}
_WHOLE = re.compile(r"[+-]?[0-9]+")
_TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def check_topic_name(name: str | None) -> None:
    """Raises InvalidTopicError for a name that Kafka would not take."""
    if name is None or not _TOPIC_NAME.fullmatch(name) or name in (".", ".."):
        raise kafka_errors.InvalidTopicError(f"Topic name is invalid: {name!r}")


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _number(setting: _Setting, value: str) -> float | None:
    """None for what is no number of the type."""
    if setting.kind is _Type.DOUBLE:
        try:
            return float(value)
        except ValueError:
            return None
    number = int(value) if _WHOLE.fullmatch(value) else None
    widest = _INT_MAX if setting.kind is _Type.INT else _LONG_MAX
    return number if number is not None and -widest - 1 <= number <= widest else None


def _check_value(name: str, value: str) -> None:
    setting = _TOPIC_CONFIGS[name]
    problem = ""
    if setting.kind in (_Type.INT, _Type.LONG, _Type.DOUBLE):
        number = _number(setting, value)
        if number is None:
            problem = f"Not a number of type {setting.kind.name}"
        elif number < setting.low:
            problem = f"Value must be at least {setting.low}"
        elif setting.high is not None and number > setting.high:
            problem = f"Value must be no more than {setting.high}"
    elif setting.kind is _Type.BOOLEAN and value.lower() not in ("true", "false"):
        problem = "Expected value to be either true or false"
    elif name in _CHOICES and value not in _CHOICES[name]:
        problem = "String must be one of: " + ", ".join(sorted(_CHOICES[name]))
    elif name == "cleanup.policy" and not set(_items(value)) <= _CLEANUP_POLICIES:
        problem = "String must be one of: compact, delete"
    if problem:
        raise kafka_errors.InvalidConfigurationError(
            f"Invalid value {value} for configuration {name}: {problem}"
        )


def _plain(setting: _Setting, value: str) -> str:
    """As Kafka keeps and shows it: no spaces around values and items."""
    return ",".join(_items(value)) if setting.kind is _Type.LIST else value.strip()


def _check_together(overrides: dict[str, str]) -> None:
    low = int(overrides.get("min.compaction.lag.ms", 0))
    high = int(overrides.get("max.compaction.lag.ms", _LONG_MAX))
    if low > high:
        raise kafka_errors.InvalidConfigurationError(
            f"conflict topic config setting min.compaction.lag.ms ({low}) > "
            f"max.compaction.lag.ms ({high})"
        )
    if overrides.get("remote.storage.enable", "").lower() == "true":
        raise kafka_errors.InvalidConfigurationError(
            "Tiered Storage functionality is disabled in the broker. "
            "Topic cannot be configured with remote log storage."
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
                _check_value(name, value.strip())
        overrides = {
            name: _plain(_TOPIC_CONFIGS[name], value)
            for name, value in (self._overrides | changes).items()
            if value is not None
        }
        _check_together(overrides)
        self._overrides = overrides
        self._read()

    def _read(self) -> None:
        # Read once: these are looked at for every produced batch.
        self.max_message_bytes = int(self.value("max.message.bytes"))
        self.retention_ms = int(self.value("retention.ms"))
        self.retention_bytes = int(self.value("retention.bytes"))
        policies = _items(self.value("cleanup.policy"))
        self.deletes = "delete" in policies
        self.compacts = "compact" in policies
        self.log_append_time = self.value("message.timestamp.type") == "LogAppendTime"
        self.timestamp_before_max_ms = int(self.value("message.timestamp.before.max.ms"))
        self.timestamp_after_max_ms = int(self.value("message.timestamp.after.max.ms"))

    def value(self, name: str) -> str:
        """The value in force."""
        if name in self._overrides:
            return self._overrides[name]
        return self._broker.get(name, _TOPIC_CONFIGS[name].default)

    def describe(self, names: list[str] | None) -> list[dict[str, Any]]:
        """One entry per known name: name, value, config_source, config_type."""
        entries = []
        for name, setting in _TOPIC_CONFIGS.items():
            if names is not None and name not in names:
                continue
            value = self.value(name)
            if name in self._overrides:
                source = ConfigSource.DYNAMIC_TOPIC
            elif value != setting.default:
                source = ConfigSource.STATIC_BROKER
            else:
                source = ConfigSource.DEFAULT
            entries.append(
                {
                    "name": name,
                    "value": value,
                    "config_source": int(source),
                    "config_type": int(setting.kind),
                }
            )
        return entries
