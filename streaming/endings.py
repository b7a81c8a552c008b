"""What the operator reads where an error of the client ends the daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from kafka import TopicPartition
from kafka.errors import (
    BrokerResponseError,
    KafkaError,
    LogTruncationError,
    UnsupportedCodecError,
)

from session_rec.errors import UserError
from streaming.config import StreamConfig
from streaming.delivery import DeliveryError
from streaming.pipeline import Partition


def ending(
    error: KafkaError, config: StreamConfig, partitions: Mapping[TopicPartition, Partition]
) -> Exception:
    """What to raise for an error that nothing of ours could cure.

    Returns:
        A :class:`UserError` where somebody has to set something right, a :class:`DeliveryError`
        where the cluster is away, and the error itself where it is neither: a defect of ours.
    """
    if error.retriable:
        return DeliveryError(f"no answer in time: {error}")
    if isinstance(error, LogTruncationError):
        return UserError("; ".join(_cut(error, config.group_id, partitions)))
    if isinstance(error, UnsupportedCodecError):
        return UserError(
            f"an event in topic {config.topics.events!r} cannot be read: {error}; "
            "pip install 'kafka-python[lz4,snappy,zstd]', as our base install does"
        )
    if isinstance(error, BrokerResponseError):
        return UserError(
            f"Kafka does not let group {config.group_id!r} read topic "
            f"{config.topics.events!r}: {error}"
        )
    return cast(Exception, error)


def set_offset(group: str, tp: TopicPartition, offset: int) -> str:
    """How an operator sets where a group goes on."""
    return (
        f"kafka-consumer-groups.sh --group {group} --topic {tp.topic}:{tp.partition} "
        f"--reset-offsets --to-offset {offset} --execute"
    )


def _cut(
    error: LogTruncationError, group: str, partitions: Mapping[TopicPartition, Partition]
) -> list[str]:
    sentences = []
    for tp, point in sorted(error.divergent_offsets.items()):
        ours = partitions.get(tp)
        what = f"{tp.topic}-{tp.partition} was cut by its cluster"
        if ours is not None and point is not None:
            what += (
                f": it lost offsets {point.offset} to {ours.contexts.next_offset - 1} after we had "
                "read them"
            )
        where = "" if point is None else f" ({set_offset(group, tp, point.offset)})"
        sentences.append(
            f"{what} (an unclean leader election, or a broker that lost its disk). Nothing more is "
            "committed; what takes their places would be passed over: stop all daemons of the "
            f"group, set its offset to where the log is still what we read{where}, start again"
        )
    return sentences
