"""Sequence numbers of idempotent producers in one partition (Kafka's ProducerStateManager)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from kafka import errors as kafka_errors

from .record_batches import RecordBatch

_REMEMBERED_BATCHES = 5  # as many as a producer may have in flight


@dataclass(slots=True)
class _State:
    epoch: int
    # (first sequence, last sequence, base offset), oldest first
    batches: deque[tuple[int, int, int]] = field(
        default_factory=lambda: deque(maxlen=_REMEMBERED_BATCHES)
    )


class ProducerStates:
    """What each producer id has appended last, so that a resend is neither lost nor doubled."""

    def __init__(self) -> None:
        self._states: dict[int, _State] = {}

    def duplicate_of(self, batch: RecordBatch) -> int | None:
        """Base offset of the same batch appended before, or None."""
        state = self._states.get(batch.producer_id)
        if state is None or state.epoch != batch.producer_epoch:
            return None
        for first, last, base_offset in state.batches:
            if first == batch.base_sequence and last == batch.last_sequence:
                return base_offset
        return None

    def check(self, batch: RecordBatch) -> None:
        """Raises InvalidProducerEpochError or OutOfOrderSequenceNumberError."""
        state = self._states.get(batch.producer_id)
        if state is None:
            return  # as in Kafka: any first sequence, the state may have expired
        if batch.producer_epoch < state.epoch:
            raise kafka_errors.InvalidProducerEpochError(
                f"Epoch of producer {batch.producer_id} is {batch.producer_epoch}, which is smaller"
                f" than the last seen epoch {state.epoch}"
            )
        if batch.producer_epoch > state.epoch or not state.batches:
            expected = 0
        else:
            expected = (state.batches[-1][1] + 1) & 0x7FFFFFFF
        if batch.base_sequence != expected:
            raise kafka_errors.OutOfOrderSequenceNumberError(
                f"Out of order sequence number for producer {batch.producer_id}:"
                f" {batch.base_sequence} (incoming), {expected} (expected)"
            )

    def appended(self, batch: RecordBatch, base_offset: int) -> None:
        """Remembers an appended batch; a control batch moves the epoch only."""
        state = self._states.get(batch.producer_id)
        if state is None or state.epoch != batch.producer_epoch:
            state = self._states[batch.producer_id] = _State(batch.producer_epoch)
        if not batch.is_control:
            state.batches.append((batch.base_sequence, batch.last_sequence, base_offset))
