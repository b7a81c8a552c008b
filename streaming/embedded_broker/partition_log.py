"""The log of one partition, in memory: batches as raw bytes, offsets, transactions, waiters."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import dataclass

from kafka import errors as kafka_errors

from .producer_states import ProducerStates
from .record_batches import RecordBatch, end_transaction_marker, parse_batch, records_of
from .topic_config import TopicConfig

NO_OFFSET = -1
NO_TIMESTAMP = -1


@dataclass(slots=True)
class _StoredBatch:
    base_offset: int
    last_offset: int
    max_timestamp: int
    data: bytes


@dataclass(frozen=True, slots=True)
class AbortedTransaction:
    """Records of `producer_id` from `first_offset` up to the marker at `last_offset` are void."""

    producer_id: int
    first_offset: int
    last_offset: int


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a produced batch lies; `append_time` is -1 on CreateTime topics (ms)."""

    base_offset: int
    append_time: int


class PartitionLog:
    """An append-only log from `start_offset` (kept) to `end_offset` (next to be written)."""

    def __init__(self, config: TopicConfig) -> None:
        self.config = config
        self.start_offset = 0
        self.end_offset = 0
        self.size_bytes = 0
        self._batches: list[_StoredBatch] = []
        self._last_offsets: list[int] = []  # of _batches, for bisection
        self._producers = ProducerStates()
        self._open_transactions: dict[int, int] = {}  # producer id -> first offset
        self._aborted: list[AbortedTransaction] = []  # by last_offset
        self._waiters: set[asyncio.Event] = set()

    @property
    def last_stable_offset(self) -> int:
        """The first offset that an open transaction holds back from read_committed readers."""
        return min(self._open_transactions.values(), default=self.end_offset)

    # -- writing -----------------------------------------------------------------------------

    def append(self, data: bytes | None, now_ms: int) -> Appended:
        """Appends one produced batch and wakes whoever waits for it.

        Raises the kafka.errors class whose code the producer must see.
        """
        batch = parse_batch(data)
        self._check(batch, now_ms)
        if batch.producer_id >= 0:
            duplicate = self._producers.duplicate_of(batch)
            if duplicate is not None:
                return Appended(duplicate, NO_TIMESTAMP)
            self._producers.check(batch)
            if not batch.is_transactional and batch.producer_id in self._open_transactions:
                raise kafka_errors.InvalidTxnStateError(
                    "Expected transactional write from a producer with an open transaction"
                )
        append_time = NO_TIMESTAMP
        if self.config.log_append_time:
            append_time = now_ms
            batch = batch.with_append_time(now_ms)
        base_offset = self._store(batch)
        if batch.is_transactional:
            self._open_transactions.setdefault(batch.producer_id, base_offset)
        self.enforce_retention(now_ms)
        self.wake()
        return Appended(base_offset, append_time)

    def end_transaction(
        self, producer_id: int, producer_epoch: int, committed: bool, now_ms: int
    ) -> None:
        """Writes the marker; aborted records become void, the last stable offset moves on."""
        marker_offset = self._store(
            end_transaction_marker(producer_id, producer_epoch, committed, now_ms)
        )
        first_offset = self._open_transactions.pop(producer_id, None)
        if first_offset is not None and not committed:
            self._aborted.append(AbortedTransaction(producer_id, first_offset, marker_offset))
        self.wake()

    def _check(self, batch: RecordBatch, now_ms: int) -> None:
        config = self.config
        if len(batch.data) > config.max_message_bytes:
            raise kafka_errors.MessageSizeTooLargeError(
                f"The record batch size is {len(batch.data)} bytes which exceeds the maximum"
                f" configured value of {config.max_message_bytes}"
            )
        if batch.is_control:
            raise kafka_errors.InvalidRecordError("Clients must not write control records")
        if not config.log_append_time:
            self._check_timestamps(batch, now_ms)
        if config.compacts and any(record.key is None for record in records_of(batch.data)):
            raise kafka_errors.InvalidRecordError(
                "Compacted topic cannot accept message without key"
            )

    def _check_timestamps(self, batch: RecordBatch, now_ms: int) -> None:
        too_late = batch.max_timestamp - now_ms > self.config.timestamp_after_max_ms
        earliest = now_ms - self.config.timestamp_before_max_ms
        too_early = earliest > 0 and any(
            record.timestamp < earliest for record in records_of(batch.data)
        )
        if too_late or too_early:
            raise kafka_errors.InvalidTimestampError(
                f"Timestamp {batch.max_timestamp} is out of range: it should be within"
                f" [{earliest}, {now_ms + self.config.timestamp_after_max_ms}]"
            )

    def _store(self, batch: RecordBatch) -> int:
        base_offset = self.end_offset
        last_offset = base_offset + batch.last_offset_delta
        stored = _StoredBatch(
            base_offset, last_offset, batch.max_timestamp, batch.placed(base_offset)
        )
        self._batches.append(stored)
        self._last_offsets.append(last_offset)
        self.end_offset = last_offset + 1
        self.size_bytes += len(stored.data)
        if batch.producer_id >= 0:
            self._producers.appended(batch, base_offset)
        return base_offset

    # -- removing ----------------------------------------------------------------------------

    def enforce_retention(self, now_ms: int) -> None:
        """Drops the oldest batches that retention.bytes or retention.ms no longer holds."""
        config = self.config
        if not config.deletes or (config.retention_bytes < 0 and config.retention_ms < 0):
            return
        stable = self.last_stable_offset
        size = self.size_bytes
        keep_from = self.start_offset
        for batch in self._batches:
            if batch.last_offset >= stable:
                break
            too_much = 0 <= config.retention_bytes <= size - len(batch.data)
            too_old = 0 <= config.retention_ms < now_ms - batch.max_timestamp
            if not too_much and not too_old:
                break
            size -= len(batch.data)
            keep_from = batch.last_offset + 1
        if keep_from > self.start_offset:
            self.delete_before(keep_from)

    def delete_before(self, offset: int) -> int:
        """Makes `offset` the first readable one (-1: everything goes); returns the new start.

        Raises OffsetOutOfRangeError beyond the end of the log.
        """
        if offset == -1:
            offset = self.end_offset
        if not 0 <= offset <= self.end_offset:
            raise kafka_errors.OffsetOutOfRangeError(f"Offset {offset} is beyond the log end")
        self.start_offset = max(self.start_offset, offset)
        # A batch that the new start cuts in two stays whole, as in Kafka.
        gone = bisect_left(self._last_offsets, self.start_offset)
        self.size_bytes -= sum(len(batch.data) for batch in self._batches[:gone])
        del self._batches[:gone]
        del self._last_offsets[:gone]
        if self._aborted and self._aborted[0].last_offset < self.start_offset:
            self._aborted = [a for a in self._aborted if a.last_offset >= self.start_offset]
        return self.start_offset

    # -- reading -----------------------------------------------------------------------------

    def readable_end(self, committed_only: bool) -> int:
        """The offset that a reader of this isolation level cannot pass."""
        return self.last_stable_offset if committed_only else self.end_offset

    def read(
        self, offset: int, max_bytes: int, committed_only: bool, at_least_one: bool
    ) -> tuple[list[bytes], int]:
        """Whole batches from the one that holds `offset` on, and the offset after the last.

        At most `max_bytes` of them; `at_least_one` returns the first batch even where it is
        larger. Raises OffsetOutOfRangeError outside of the log.
        """
        if not self.start_offset <= offset <= self.end_offset:
            raise kafka_errors.OffsetOutOfRangeError(
                f"Offset {offset} is outside of [{self.start_offset}, {self.end_offset}]"
            )
        end = self.readable_end(committed_only)
        chunks: list[bytes] = []
        next_offset = offset
        size = 0
        for index in range(bisect_left(self._last_offsets, offset), len(self._batches)):
            batch = self._batches[index]
            if batch.base_offset >= end:
                break
            size += len(batch.data)
            if size > max_bytes and (chunks or not at_least_one):
                break
            chunks.append(batch.data)
            next_offset = batch.last_offset + 1
        return chunks, next_offset

    def aborted_between(self, offset: int, end: int) -> list[AbortedTransaction]:
        """Aborted transactions that a reader of [offset, end) must know."""
        first = bisect_left(self._aborted, offset, key=lambda aborted: aborted.last_offset)
        return [aborted for aborted in self._aborted[first:] if aborted.first_offset < end]

    def offset_for_time(self, timestamp: int, committed_only: bool) -> tuple[int, int]:
        """(offset, timestamp) of the first record at or after `timestamp`; (-1, -1) if none."""
        for batch in self._batches:
            if batch.max_timestamp >= timestamp:
                found = self._first_record(batch, timestamp)
                if found[0] < 0:
                    continue  # only in what delete_before cut off
                is_readable = found[0] < self.readable_end(committed_only)
                return found if is_readable else (NO_OFFSET, NO_TIMESTAMP)
        return NO_OFFSET, NO_TIMESTAMP

    def offset_of_max_timestamp(self) -> tuple[int, int]:
        """(offset, timestamp) of the first record with the highest timestamp; (-1, -1) if none."""
        if not self._batches:
            return NO_OFFSET, NO_TIMESTAMP
        newest = max(self._batches, key=lambda batch: batch.max_timestamp)
        return self._first_record(newest, newest.max_timestamp)

    def _first_record(self, batch: _StoredBatch, timestamp: int) -> tuple[int, int]:
        try:
            for record in records_of(batch.data):
                if record.timestamp >= timestamp and record.offset >= self.start_offset:
                    return record.offset, record.timestamp
        except kafka_errors.UnsupportedCodecError:
            # Without the library the records cannot be told apart: the batch's first is the
            # nearest one that is surely not too late.
            return max(batch.base_offset, self.start_offset), batch.max_timestamp
        return NO_OFFSET, NO_TIMESTAMP

    # -- waiting -----------------------------------------------------------------------------

    def watch(self, event: asyncio.Event) -> None:
        """`event` is set whenever there may be something new to read."""
        self._waiters.add(event)

    def unwatch(self, event: asyncio.Event) -> None:
        self._waiters.discard(event)

    def wake(self) -> None:
        for event in self._waiters:
            event.set()
