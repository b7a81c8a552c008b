"""Plays recorded sessions into the events topic, in time order, at a chosen speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from kafka import KafkaProducer
from kafka.errors import KafkaError
from numpy.typing import NDArray

from session_rec.errors import UserError
from session_rec.event_log import SessionLog
from session_rec.events import Event, encode_event
from session_rec.schedule import Schedule

#: Called now and then with the number of events sent so far.
Progress = Callable[[int], None]

_LOOK_S = 0.2  #: seconds between two calls of progress


@dataclass(frozen=True)
class Played:
    """What was played.

    Attributes:
        order: int64 [T], index into the log of each event, in the order sent.
        scheduled: float64 [T], seconds since the epoch when each was due, parallel to ``order``.
        ids: ``topic-partition-offset`` of each, parallel to ``order``: ids of the predictions.
        seconds: duration.
        behind_s: the most that sending was behind its schedule, seconds.
    """

    order: NDArray[np.int64]
    scheduled: NDArray[np.float64]
    ids: list[str]
    seconds: float
    behind_s: float


def messages(log: SessionLog, order: NDArray[np.int64], shift_ms: int) -> list[tuple[bytes, bytes]]:
    """Record key and value of each event of ``order``; ``ts`` is moved by ``shift_ms``."""
    session_ids, item_ids, types = log.session_ids, log.item_ids, log.type_names
    features = log.features
    out = []
    for i, session, item, ts, kind, seq in zip(
        order.tolist(),
        log.session[order].tolist(),
        log.item[order].tolist(),
        log.ts[order].tolist(),
        log.type[order].tolist(),
        log.seq[order].tolist(),
        strict=True,
    ):
        event = Event(
            session_ids[session],
            item_ids[item],
            ts + shift_ms,
            types[kind],
            None if seq < 0 else seq,
            {name: str(v) for name, values in features.items() if (v := values[i]) is not None},
        )
        out.append((event.session_id.encode(), encode_event(event)))
    return out


def play(
    log: SessionLog,
    producer: KafkaProducer,
    topic: str,
    plan: Schedule,
    *,
    shift_to_now: bool = False,
    progress: Progress | None = None,
) -> Played:
    """Produces the log's events; the record timestamp is the event time.

    Open loop: each event has its due time, whatever became of the ones before it.

    Args:
        plan: order and due times, as :func:`session_rec.schedule.schedule` makes them.
        shift_to_now: moves all times so that the first event happens now. A topic whose retention
            is shorter than the age of a recording deletes what was not moved.
        progress: told how many events were sent, about five times a second.

    Raises:
        UserError: the cluster does not take the events.
    """
    order = plan.order
    shift_ms = round(time.time() * 1000) - int(plan.clock[0]) if shift_to_now else 0
    bodies = messages(log, order, shift_ms)
    scheduled = time.time() + plan.at
    begin, behind = time.monotonic(), 0.0
    looked = begin

    def look(n: int) -> None:
        nonlocal looked
        if progress and (now := time.monotonic()) - looked >= _LOOK_S:
            looked = now
            progress(n)

    futures = []
    for n, ((key, value), at, ts) in enumerate(
        zip(bodies, plan.at.tolist(), log.ts[order].tolist(), strict=True)
    ):
        look(n)
        if at:
            while (left := begin + at - time.monotonic()) > 0:
                time.sleep(min(left, _LOOK_S))
                look(n)
            behind = max(behind, -left)
        else:
            scheduled[n] = time.time()
        try:
            futures.append(producer.send(topic, key=key, value=value, timestamp_ms=ts + shift_ms))
        except KafkaError as e:
            raise UserError(f"topic {topic!r} does not take the events: {e}") from None
    try:
        producer.flush(timeout=60)
        sent = [f.get(timeout=60) for f in futures]
    except KafkaError as e:
        raise UserError(f"topic {topic!r} does not take the events: {e}") from None
    if progress:
        progress(len(sent))
    ids = [f"{m.topic}-{m.partition}-{m.offset}" for m in sent]
    seconds = time.monotonic() - begin
    return Played(order, scheduled, ids, seconds, behind)
