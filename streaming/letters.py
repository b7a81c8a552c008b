"""Dead letters as they lie in their topic: read, told apart, selected."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from session_rec.errors import UserError
from streaming.dead_letters import PREFIX, REDRIVES
from streaming.outputs import Headers

#: Headers of ours that say that the message is not all there.
_CUT = tuple(PREFIX + name for name in ("truncated", "key-truncated", "headers-dropped"))
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_STALL_S = 30.0  #: without a record, before we say that the cluster does not answer

#: The reason of a record that nobody who writes dead letters of ours wrote.
FOREIGN = "(not a dead letter of session-rec)"


class Letter(NamedTuple):
    """A record of the dead-letter topic.

    Attributes:
        partition, offset: where it lies.
        written_ms: when it was written, milliseconds since 1970-01-01 UTC.
        reason: why the message could not be used.
        topic: where the message came from; None where the record is no dead letter of ours.
        source_partition, source_offset: where it lay there.
        timestamp_ms: its own timestamp, -1 for none.
        key, value: of the message, as far as they are there.
        headers: the message's own.
        notes: our headers, without the prefix.
        redrives: how often the message was sent back before.
    """

    partition: int
    offset: int
    written_ms: int
    reason: str
    topic: str | None
    source_partition: int
    source_offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    notes: dict[str, bytes]
    redrives: int

    @property
    def cut(self) -> bool:
        """Whether a part of the message is missing: what is left must not be sent as if whole."""
        return any(name.removeprefix(PREFIX) in self.notes for name in _CUT)

    @property
    def unsendable(self) -> bool:
        """Whether the message had neither key nor value, which the client does not send."""
        return "null-value" in self.notes

    @property
    def position(self) -> str:
        """``partition:offset``."""
        return f"{self.partition}:{self.offset}"


def letter(record: Any) -> Letter:
    """The letter in a record of the dead-letter topic."""
    notes: dict[str, bytes] = {}
    own: Headers = []
    for name, value in record.headers or ():
        if name.startswith(PREFIX):
            notes.setdefault(name.removeprefix(PREFIX), value or b"")
        else:
            own.append((name, value))
    try:
        reason, topic = notes["reason"].decode("utf-8", "replace"), notes["topic"].decode()
        partition, offset, timestamp = (
            int(notes[name]) for name in ("partition", "offset", "timestamp")
        )
        redrives = int(notes.get(REDRIVES.removeprefix(PREFIX), b"0"))
    except (KeyError, ValueError):
        reason, topic, redrives = FOREIGN, None, 0
        partition = offset = timestamp = -1
    return Letter(
        record.partition,
        record.offset,
        record.timestamp,
        reason,
        topic,
        partition,
        offset,
        timestamp,
        record.key,
        record.value,
        own,
        notes,
        redrives,
    )


def parse_time(text: str, now_ms: int | None = None) -> int:
    """Milliseconds since 1970-01-01 UTC of an ISO 8601 time, or of a while ago such as ``90m``.

    Raises:
        UserError: it is neither.

    >>> parse_time("2026-11-01T00:00:00+00:00")
    1793491200000
    >>> parse_time("2h", now_ms=10_000_000)
    2800000
    """
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if found:
        now = round(time.time() * 1000) if now_ms is None else now_ms
        return now - int(found[1]) * _UNITS[found[2]] * 1000
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise UserError(
            f"{text!r} is no time: give an ISO 8601 time such as 2026-11-22T09:30, or a while ago "
            "such as 90m, 2h or 7d"
        ) from None


def parse_position(text: str) -> tuple[int, int]:
    """Partition and offset of ``partition:offset``.

    Raises:
        UserError: it is not of that form.

    >>> parse_position("0:17")
    (0, 17)
    """
    found = re.fullmatch(r"(\d{1,9}):(\d{1,18})", text)
    if not found:
        raise UserError(f"{text!r} is no position: give partition:offset, such as 0:17")
    return int(found[1]), int(found[2])


@dataclass
class Selection:
    """Which letters are meant; what is not set selects all.

    Attributes:
        reason: a part of the reason, in any case of letters.
        source: ``topic`` or ``topic-partition`` that the message came from.
        positions: these letters only, by partition the offsets.
        since_ms, until_ms: written at or after, and before; milliseconds since 1970-01-01 UTC.
        begin: by partition of the dead-letter topic, the offset to begin at.
        newest: only so many of the newest of each partition.
    """

    reason: str | None = None
    source: str | None = None
    positions: dict[int, set[int]] = field(default_factory=dict)
    since_ms: int | None = None
    until_ms: int | None = None
    begin: dict[int, int] = field(default_factory=dict)
    newest: int | None = None

    def takes(self, found: Letter) -> bool:
        """Whether the letter is meant."""
        if self.positions and found.offset not in self.positions.get(found.partition, ()):
            return False
        if self.since_ms is not None and found.written_ms < self.since_ms:
            return False
        if self.until_ms is not None and found.written_ms >= self.until_ms:
            return False
        if self.source not in (None, found.topic, f"{found.topic}-{found.source_partition}"):
            return False
        return self.reason is None or self.reason.lower() in found.reason.lower()


class LetterBox:
    """The dead-letter topic up to where it ends now: what comes later is left out.

    Args:
        consumer: outside of any group.
        topic: the dead-letter topic.

    Raises:
        UserError: the cluster does not say where it begins and ends.
    """

    def __init__(self, consumer: KafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self.topic = topic
        try:
            numbers = consumer.partitions_for_topic(topic) or set()
            self._tps = [TopicPartition(topic, n) for n in sorted(numbers)]
            begins, ends = consumer.beginning_offsets(self._tps), consumer.end_offsets(self._tps)
        except KafkaError as e:
            raise UserError(f"topic {topic!r} cannot be read: {e}") from None
        self.bounds = {tp.partition: (begins[tp], ends[tp]) for tp in self._tps}

    def one(self, position: str) -> Letter:
        """The letter at ``partition:offset``.

        Raises:
            UserError: there is none.
        """
        partition, offset = parse_position(position)
        selection = Selection(positions={partition: {offset}})
        self.check(selection)
        for found in self.read(selection):
            return found
        raise UserError(f"there is no letter at {position}: a transaction's marker lies there")

    def check(self, selection: Selection) -> None:
        """Raises :class:`UserError` where what is asked for by position is not there."""
        asked = [(p, o) for p, offsets in selection.positions.items() for o in sorted(offsets)]
        for partition, offset in asked + list(selection.begin.items()):
            if partition not in self.bounds:
                raise UserError(
                    f"there is no letter at {partition}:{offset}: topic {self.topic!r} has "
                    f"partitions 0 to {len(self.bounds) - 1}"
                )
        for partition, offset in asked:
            begin, end = self.bounds[partition]
            if not begin <= offset < end:
                held = f"holds {begin} to {end - 1}" if begin < end else "is empty"
                raise UserError(
                    f"there is no letter at {partition}:{offset}: partition {partition} of topic "
                    f"{self.topic!r} {held}"
                )

    def read(self, selection: Selection) -> Iterator[Letter]:
        """The selected letters, one partition after the other, each in offset order.

        Raises:
            UserError: the cluster does not give them.
        """
        try:
            for tp in self._tps:
                if selection.positions and tp.partition not in selection.positions:
                    continue
                yield from self._partition(tp, selection)
        except OffsetOutOfRangeError:
            raise UserError(
                f"letters of topic {self.topic!r} expired while they were read: try again"
            ) from None
        except KafkaError as e:
            raise UserError(f"topic {self.topic!r} cannot be read: {e}") from None

    def _partition(self, tp: TopicPartition, selection: Selection) -> Iterator[Letter]:
        begin, end = self._range(tp, selection)
        if begin >= end:
            return
        consumer = self._consumer
        consumer.assign([tp])
        consumer.seek(tp, begin)
        waited_since = time.monotonic()
        while consumer.position(tp) < end:
            for record in consumer.poll(timeout_ms=500).get(tp, ()):
                waited_since = time.monotonic()
                if record.offset >= end:
                    return
                found = letter(record)
                if selection.takes(found):
                    yield found
                waited_since = time.monotonic()
            if time.monotonic() - waited_since > _STALL_S:
                raise UserError(
                    f"the cluster gives nothing of {tp.topic}-{tp.partition} from offset "
                    f"{consumer.position(tp)} on: is its leader up?"
                )

    def _range(self, tp: TopicPartition, selection: Selection) -> tuple[int, int]:
        begin, end = self.bounds[tp.partition]
        if selection.positions:
            wanted = selection.positions[tp.partition]
            begin, end = max(begin, min(wanted)), min(end, max(wanted) + 1)
        if selection.newest is not None:
            begin = max(begin, end - selection.newest)
        if selection.since_ms is not None:
            # Timestamps need not be in order: the first at or after it, and all behind.
            found = self._consumer.offsets_for_times({tp: max(selection.since_ms, 0)})[tp]
            begin = end if found is None else max(begin, found.offset)
        return max(begin, selection.begin.get(tp.partition, 0)), end
