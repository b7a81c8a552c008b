"""Reads records whose header names are not UTF-8, which Kafka allows and kafka-python does not.

One such record would end every poll that meets it: no daemon of the group would get past it.
"""

from __future__ import annotations

from typing import Any

from kafka.record.default_records import DefaultRecordBatch


class _LenientBytes(bytes):
    """Bytes whose slices are decoded whatever they hold: what is no UTF-8 becomes ``\\xNN``."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _LenientBytes(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


_read_msg = DefaultRecordBatch._read_msg


def _read_any_msg(batch: Any) -> Any:
    # It decodes nothing but header names, and moves on only after a record is read.
    try:
        return _read_msg(batch)
    except UnicodeDecodeError:
        batch._buffer = _LenientBytes(batch._buffer)
        return _read_msg(batch)


def accept_any_header_name() -> None:
    """Has kafka-python read such records, their names escaped; a second call does nothing."""
    DefaultRecordBatch._read_msg = _read_any_msg
