"""Reads a topic from its first record to where it ended at one moment, outside of any group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from session_rec.errors import UserError

_POLL_MS = 500
_REQUEST_MS = 30_000  #: for the cluster to say where a topic begins and ends
#: Polls without a record and without a step ahead before the cluster counts as gone.
_SILENT_POLLS = 60


class TopicReader:
    """A topic between its first record and its end as of now.

    Args:
        consumer: outside of a group, with ``read_committed``.
        topic: which; it must exist.

    Attributes:
        records: how many offsets lie between.

    Raises:
        UserError: the cluster does not say where it begins and ends.
    """

    def __init__(self, consumer: KafkaConsumer, topic: str) -> None:
        self._consumer, self._topic = consumer, topic
        try:
            numbers = consumer.partitions_for_topic(topic) or set()
            partitions = [TopicPartition(topic, p) for p in sorted(numbers)]
            self._begins: Mapping[TopicPartition, int] = consumer.beginning_offsets(
                partitions, timeout_ms=_REQUEST_MS
            )
            self._ends: Mapping[TopicPartition, int] = consumer.end_offsets(
                partitions, timeout_ms=_REQUEST_MS
            )
        except KafkaError as e:
            raise UserError(f"topic {topic!r} cannot be read: {e}") from None
        self.records = sum(self._ends[tp] - self._begins[tp] for tp in partitions)

    def read(self, advance: Callable[[int], None] = lambda n: None) -> Iterator[Any]:
        """The records, those of a partition in offset order; tells how many offsets it passed.

        Raises:
            UserError: the cluster went away, or records expired meanwhile.
        """
        consumer, open_ = self._consumer, [tp for tp in self._ends if self._has_records(tp)]
        passed = dict(self._begins)
        silent = 0
        try:
            consumer.assign(open_)
            for tp in open_:
                consumer.seek(tp, self._begins[tp])
            while open_:
                batches = consumer.poll(timeout_ms=_POLL_MS)
                for tp, batch in batches.items():
                    yield from (r for r in batch if r.offset < self._ends[tp])
                # Markers of transactions end a partition too, and no poll returns them.
                now = {tp: min(consumer.position(tp), self._ends[tp]) for tp in open_}
                steps = sum(now[tp] - passed[tp] for tp in open_)
                advance(steps)
                passed |= now
                silent = 0 if steps else silent + 1
                if silent == _SILENT_POLLS:
                    raise UserError(f"topic {self._topic!r} gives no more records: is Kafka there?")
                done = [tp for tp in open_ if now[tp] >= self._ends[tp]]
                consumer.pause(*done)
                open_ = [tp for tp in open_ if tp not in done]
        except OffsetOutOfRangeError:
            raise UserError(
                f"records of topic {self._topic!r} expired while they were read: try again"
            ) from None
        except KafkaError as e:
            raise UserError(f"topic {self._topic!r} cannot be read: {e}") from None

    def _has_records(self, tp: TopicPartition) -> bool:
        return self._begins[tp] < self._ends[tp]
