"""Record batches (magic 2) as raw bytes: read the header, set what the broker sets, nothing else.

Field layout: https://kafka.apache.org/documentation/#recordbatch. The CRC covers everything from
the attributes on, so the base offset and the leader epoch can be set without touching it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kafka import errors as kafka_errors
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

from .settings import LEADER_EPOCH

_HEADER = DefaultRecordBatch.HEADER_STRUCT
_PLACEMENT = struct.Struct(">qii")  # base offset, length, partition leader epoch
_LENGTH_OVERHEAD = 12  # bytes before what `length` counts
_CRC_AT = 17
_ATTRIBUTES_AT = 21
_MAX_TIMESTAMP_AT = 35
_MAGIC = 2
_CONTROL_KEY = struct.Struct(">hh")  # version, type
_END_TXN_VALUE = struct.Struct(">hi")  # version, coordinator epoch

_TIMESTAMP_TYPE = 0x08
_TRANSACTIONAL = 0x10
_CONTROL = 0x20


@dataclass(slots=True)
class RecordBatch:
    """Header of one batch beside its bytes; timestamps in ms since the epoch."""

    data: bytes
    record_count: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & _CONTROL)

    @property
    def last_sequence(self) -> int:
        """Sequence number of the last record; it wraps at 2^31."""
        return (self.base_sequence + self.last_offset_delta) & 0x7FFFFFFF

    def placed(self, base_offset: int) -> bytes:
        """The bytes with `base_offset` written into them; one copy, the CRC stays right."""
        head = _PLACEMENT.pack(base_offset, len(self.data) - _LENGTH_OVERHEAD, LEADER_EPOCH)
        return b"".join((head, memoryview(self.data)[_PLACEMENT.size :]))

    def with_append_time(self, now_ms: int) -> RecordBatch:
        """The batch as a LogAppendTime topic stores it: one timestamp for all, a new CRC."""
        data = bytearray(self.data)
        attributes = self.attributes | _TIMESTAMP_TYPE
        struct.pack_into(">h", data, _ATTRIBUTES_AT, attributes)
        struct.pack_into(">q", data, _MAX_TIMESTAMP_AT, now_ms)
        struct.pack_into(">I", data, _CRC_AT, calc_crc32c(memoryview(data)[_ATTRIBUTES_AT:]))
        return RecordBatch(
            bytes(data),
            self.record_count,
            attributes,
            self.last_offset_delta,
            self.first_timestamp,
            now_ms,
            self.producer_id,
            self.producer_epoch,
            self.base_sequence,
        )


def parse_batch(data: bytes | None) -> RecordBatch:
    """The one batch that a produce request holds for a partition.

    Raises InvalidRecordError (not exactly one batch of magic 2) or CorruptRecordError (CRC).
    """
    if data is None or len(data) < _HEADER.size:
        raise kafka_errors.InvalidRecordError("Produce requests must hold exactly one record batch")
    (
        _,
        length,
        _,
        magic,
        crc,
        attributes,
        last_offset_delta,
        first_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        record_count,
    ) = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise kafka_errors.InvalidRecordError(f"Record batches must have magic 2, not {magic}")
    if length + _LENGTH_OVERHEAD != len(data):
        raise kafka_errors.InvalidRecordError("Produce requests must hold exactly one record batch")
    if calc_crc32c(memoryview(data)[_ATTRIBUTES_AT:]) != crc:
        raise kafka_errors.CorruptRecordError("Record batch is corrupt: its CRC does not match")
    if record_count < 1 or last_offset_delta != record_count - 1:
        raise kafka_errors.InvalidRecordError("Record batch has an inconsistent record count")
    return RecordBatch(
        data,
        record_count,
        attributes,
        last_offset_delta,
        first_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
    )


def end_transaction_marker(
    producer_id: int, producer_epoch: int, committed: bool, now_ms: int
) -> RecordBatch:
    """The control batch that ends a transaction in a partition."""
    builder = DefaultRecordBatchBuilder(
        magic=_MAGIC,
        compression_type=0,
        is_transactional=1,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=-1,
        batch_size=1024,
    )
    builder.append(
        0, now_ms, _CONTROL_KEY.pack(0, 1 if committed else 0), _END_TXN_VALUE.pack(0, 0), []
    )
    data = bytearray(builder.build())
    attributes = _TRANSACTIONAL | _CONTROL
    struct.pack_into(">h", data, _ATTRIBUTES_AT, attributes)
    struct.pack_into(">I", data, _CRC_AT, calc_crc32c(memoryview(data)[_ATTRIBUTES_AT:]))
    return RecordBatch(
        bytes(data), 1, attributes, 0, now_ms, now_ms, producer_id, producer_epoch, -1
    )


def records_of(data: bytes) -> Iterator[Any]:
    """Decoded records of a stored batch: offset, timestamp, key, value, headers.

    Raises UnsupportedCodecError where the batch is compressed by a library that is not installed.
    """
    return iter(DefaultRecordBatch(data))


def transactional_producer(data: bytes | None) -> tuple[int, int] | None:
    """(producer id, epoch) of a transactional batch, None of any other; checks nothing."""
    if data is None or len(data) < _HEADER.size:
        return None
    header = _HEADER.unpack_from(data)
    return (header[9], header[10]) if header[5] & _TRANSACTIONAL else None
