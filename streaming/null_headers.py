"""Writes headers whose value is null, which Kafka allows and kafka-python 3.0.12 only reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.default_records import DefaultRecordBatchBuilder


class _Null(bytes):
    """Passes for empty bytes where the client wants bytes, and is null in the batch."""


_NULL = _Null()

_build, _append = DefaultRecordBatchBuilder.append, ProducerBatch.try_append


def _measurable(headers: Sequence[tuple[str, bytes | None]] | None) -> Any:
    if headers and any(value is None for _, value in headers):
        return [(name, _NULL if value is None else value) for name, value in headers]
    return headers


def _written(
    builder: Any, offset: int, timestamp: int, key: Any, value: Any, headers: Any, *rest: Any
) -> Any:
    if headers and any(type(value) is _Null for _, value in headers):
        headers = [(name, None if type(value) is _Null else value) for name, value in headers]
    return _build(builder, offset, timestamp, key, value, headers, *rest)


def _split(batch: Any, timestamp: int, key: Any, value: Any, headers: Any, **more: Any) -> Any:
    # A batch too large for its topic is read back and written in pieces.
    return _append(batch, timestamp, key, value, _measurable(headers), **more)


DefaultRecordBatchBuilder.append = _written
ProducerBatch.try_append = _split


class NullableProducer(KafkaProducer):  # type: ignore[misc]
    """A producer whose ``send`` takes None for the value of a header."""

    def send(
        self, topic: str, value: Any = None, key: Any = None, headers: Any = None, **more: Any
    ) -> Any:
        """As :meth:`KafkaProducer.send`."""
        return super().send(topic, value, key, _measurable(headers), **more)
