"""Where a partition begins to be read, and where to be emitted from."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from session_rec.errors import UserError
from streaming.commit_metadata import DECIDE_STATE, CommitMetadata
from streaming.config import StreamConfig
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.endings import set_offset
from streaming.kafka_clients import GROUP_MOVED_ON, make_reader, patiently

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stand:
    """How a partition and the group's commit on it stand to each other.

    Attributes:
        begin, end: the offsets that the partition holds, ``[begin, end)``.
        offset: the first offset whose event gets a prediction: the commit, else where the
            partition begins.
        metadata: beside the commit; empty where there is none, or where it counts no more.
        fresh: whether there is no state before ``offset`` to have again.
        lost: records that expired before they were read, which the settings accept.
    """

    begin: int
    end: int
    offset: int
    metadata: str = ""
    fresh: bool = False
    lost: int = 0


@dataclass(frozen=True)
class Position:
    """Where a partition is read again from, so that its state is there at the commit.

    Attributes:
        read_from: the first offset to read.
        emit_from: the first offset whose event gets a prediction: the commit.
        stream_time: stream time just before ``read_from``, milliseconds; None if there was none.
        missing: records before ``read_from`` that the state is made of, and that expired.
    """

    read_from: int
    emit_from: int
    stream_time: int | None = None
    missing: int = 0


class Positions:
    """Finds positions, by the group's commits and what the partitions still hold.

    Args:
        consumer: the group's consumer.
        config: the daemon's settings.
        settings: what decides the state of a partition.
    """

    def __init__(
        self, consumer: KafkaConsumer, config: StreamConfig, settings: ContextSettings
    ) -> None:
        self._consumer = consumer
        self._config = config
        self._settings = settings

    def commit_entry(self, contexts: PartitionContexts) -> OffsetAndMetadata:
        """The commit that stands for all records handed to ``contexts``."""
        rebuild_from, stream_time = contexts.rebuild_from()
        return self._entry(contexts.next_offset, rebuild_from, stream_time)

    def first_commit(self) -> None:
        """Gives every partition its first commit, where the group has none at all.

        Written before joining, so that a crash before the first record, or a second daemon,
        does not move the start. It is refused where another daemon was faster: then that one's
        stand.

        Raises:
            UserError: the cluster does not take it for another reason.
        """
        partitions = [
            TopicPartition(self._config.topics.events, p)
            for p in sorted(self._consumer.partitions_for_topic(self._config.topics.events))
        ]
        if any(self._committed(tp) is not None for tp in partitions):
            return
        starts = self._starts(partitions)
        entries = {}
        for tp, start in starts.items():
            position = self._by_time(tp, start)
            entries[tp] = self._entry(start, position.read_from, None)
        try:
            self._ask("commit", entries)
        except GROUP_MOVED_ON as e:
            log.info("the group %s began elsewhere meanwhile (%s)", self._config.group_id, e)
            return
        except KafkaError as e:
            # Without it every partition would begin at its beginning, whatever ``start`` says.
            raise UserError(
                f"the group {self._config.group_id!r} cannot commit where it starts: {e}"
            ) from e
        log.info(
            "first start of group %s at %s: %s",
            self._config.group_id,
            self._config.start,
            {tp.partition: start for tp, start in starts.items()},
        )

    def stand(self, tp: TopicPartition) -> Stand:
        """How a partition just assigned stands.

        Raises:
            UserError: the committed offset expired, and loss is not accepted.
        """
        begin = self._ask("beginning_offsets", [tp])[tp]
        end = self._ask("end_offsets", [tp])[tp]
        committed = self._committed(tp)
        if committed is None:
            # The group has commits elsewhere (first_commit), so this partition is new.
            return Stand(begin, end, begin, fresh=True)
        offset = committed.offset
        if offset < begin or offset > end:
            lost = self.lose(tp, offset, begin, end)
            return Stand(begin, end, begin, fresh=True, lost=lost)
        return Stand(begin, end, offset, committed.metadata or "")

    def find(self, tp: TopicPartition, stand: Stand) -> Position:
        """Where to read from, so as to have the state at the commit without a snapshot."""
        begin, offset = stand.begin, stand.offset
        if stand.fresh:
            return Position(begin, begin)
        metadata = self._metadata(tp, stand.metadata)
        if metadata is None:
            return self._by_time(tp, offset)
        missing = max(min(begin, offset) - metadata.rebuild_from, 0)
        if missing:
            log.warning(
                "%s: offsets %d to %d expired, of which live contexts are made: some are cut",
                _name(tp),
                metadata.rebuild_from,
                metadata.rebuild_from + missing - 1,
            )
        return Position(
            min(max(metadata.rebuild_from, begin), offset), offset, metadata.stream_time, missing
        )

    def topic_id(self) -> str | None:
        """The cluster's id of the events topic, other for one made anew under its name; None
        where the cluster has none."""
        cluster = getattr(self._consumer, "_cluster", None)  # the client tells it nowhere else
        found = cluster.topic_id(self._config.topics.events) if cluster is not None else None
        return None if found is None else str(found)

    def lose(self, tp: TopicPartition, offset: int, begin: int, end: int) -> int:
        """The number of records lost between ``offset`` and ``begin``, if the settings accept it.

        Raises:
            UserError: they do not; the lost range is named.
        """
        instead = ""
        if offset > end:
            what = (
                f"{_name(tp)} ends at offset {end}, before the committed {offset}: "
                "the topic was made anew or cut"
            )
            instead = f"; if it was cut: {set_offset(self._config.group_id, tp, end)}"
        else:
            what = f"{_name(tp)} lost offsets {offset} to {begin - 1}: they expired unread"
        if not self._config.accept_loss:
            raise UserError(f"{what}; set accept_loss = true to go on from offset {begin}{instead}")
        log.error("%s; going on from offset %d as accept_loss says", what, begin)
        return max(begin - offset, 0)

    def _entry(self, offset: int, rebuild_from: int, stream_time: int | None) -> OffsetAndMetadata:
        metadata = CommitMetadata(rebuild_from, stream_time, **self._made_under())
        return OffsetAndMetadata(offset, msgspec.json.encode(metadata).decode(), -1)

    def _made_under(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "rules": settings.rules.fingerprint,
            "lateness": settings.allowed_lateness_ms,
            "idle": settings.pairs_idle_ms if settings.rules.as_given else None,
            "skew": settings.max_future_skew_ms,
            "bots": settings.bot_span_ms,
        }

    def _metadata(self, tp: TopicPartition, text: str) -> CommitMetadata | None:
        """What stands beside a commit, if it is of use under our settings."""
        try:
            metadata = msgspec.json.decode(text, type=CommitMetadata)
        except msgspec.DecodeError:
            metadata = None
        if metadata is None or metadata.v != 1:
            log.warning("%s: the commit says nothing of contexts, reading back by time", _name(tp))
            return None
        changed = [
            name
            for name, now in self._made_under().items()
            if (then := getattr(metadata, name)) is not msgspec.UNSET and then != now
        ]
        if "bots" in changed:
            log.warning("%s: bot_span_s was another at the last commit", _name(tp))
        if matter := [setting for name, setting in DECIDE_STATE.items() if name in changed]:
            log.warning(
                "%s: the last commit was made under other settings (%s), reading back by time",
                _name(tp),
                ", ".join(matter),
            )
            return None
        return metadata

    def _ask(self, what: str, *args: Any, **more: Any) -> Any:
        """What the consumer's method of that name returns, once the cluster is there."""
        ask = getattr(self._consumer, what)
        return patiently(
            lambda ms: ask(*args, timeout_ms=ms, **more), self._config.delivery_timeout_s
        )

    def _committed(self, tp: TopicPartition) -> OffsetAndMetadata | None:
        try:
            found = self._ask("committed", tp, metadata=True)
        except KafkaTimeoutError:
            raise KafkaTimeoutError(
                f"no committed offset of {_name(tp)}: its coordinator is away, or a transaction on "
                "it never ended (kafka-transactions.sh find-hanging tells)"
            ) from None
        return None if found is None or found.offset < 0 else found

    def _starts(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self._config.start == "earliest":
            return dict(self._ask("beginning_offsets", partitions))
        ends = dict(self._ask("end_offsets", partitions))
        start_ms = self._config.start_ms
        if start_ms is None:
            return ends
        found = self._ask("offsets_for_times", dict.fromkeys(partitions, start_ms))
        return {tp: found[tp].offset if found.get(tp) else ends[tp] for tp in partitions}

    def _by_time(self, tp: TopicPartition, offset: int) -> Position:
        """Reads back by record timestamps, as far as the longest age of a live context."""
        newest = self._timestamp_before(tp, offset)
        if newest is None:
            return Position(offset, offset)
        # An event is ahead of its record by the allowed skew at most.
        skew = self._config.max_future_skew_ms or 0
        since = max(newest - self._settings.reach_ms - skew, 0)
        found = self._ask("offsets_for_times", {tp: since}).get(tp)
        return Position(min(found.offset, offset) if found else offset, offset)

    def _timestamp_before(self, tp: TopicPartition, offset: int) -> int | None:
        """Timestamp of the last record before ``offset``, milliseconds; None if there is none."""
        begin = self._ask("beginning_offsets", [tp])[tp]
        if begin >= offset:
            return None
        reader = make_reader(self._config.kafka)
        try:
            reader.assign([tp])
            # A few more than one: transaction markers take offsets too.
            reader.seek(tp, max(begin, offset - 16))
            newest = None
            for record in reader.poll(timeout_ms=5000, max_records=16).get(tp, []):
                if record.offset < offset:
                    newest = record.timestamp
            return newest
        finally:
            reader.close()


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}-{tp.partition}"
