"""Recorded sessions with a train and a test split, and the slice of train that serves tuning."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from session_rec.errors import DataError
from session_rec.event_log import SessionLog
from training.recorded import find_columns

_COLUMNS = ("session_id", "item_id", "ts", "split")


@dataclass(frozen=True)
class BenchmarkData:
    """One data file.

    Attributes:
        name: the file's name without its ending.
        train, test: its splits, sessions as given; ``ts`` in milliseconds, or the running number
            of the event in the file where the file's ``ts`` is no clock.
        has_clock: whether ``ts`` says when an event was.
        fingerprint: sha256 (hex) of both splits.
    """

    name: str
    train: SessionLog
    test: SessionLog
    has_clock: bool
    fingerprint: str


def read_benchmark(path: Path) -> BenchmarkData:
    """The sessions in a Parquet file with columns ``session_id``, ``item_id``, ``ts``, ``split``
    ('train' or 'test') and optionally ``event_type``; events of a session lie together, in order.

    Raises:
        DataError: the file is missing, is no Parquet, lacks a column, or one split is empty.
    """
    file = find_columns(path, needed=_COLUMNS)
    train, test = (file.read(f"split = '{split}'") for split in ("train", "test"))
    digest = hashlib.sha256(f"{train.fingerprint} {test.fingerprint}".encode()).hexdigest()
    return BenchmarkData(path.stem, train, test, file.ts_scale is not None, digest)


def read_whole(path: Path) -> tuple[SessionLog, bool]:
    """All sessions of such a file, a ``split`` not looked at, and whether its ``ts`` is a clock.

    Raises:
        DataError: as :func:`read_benchmark`.
    """
    file = find_columns(path)
    return file.read(), file.ts_scale is not None


def last_sessions(log: SessionLog, share: float) -> tuple[SessionLog, SessionLog]:
    """The log without its newest sessions, and those: ``share`` of all, by their last event."""
    ends = np.append(np.flatnonzero(np.diff(log.session)), len(log) - 1)
    order = np.argsort(log.ts[ends], kind="stable")
    held_out = int(len(order) * share)
    if held_out == 0 or held_out == len(order):
        raise DataError(
            f"{len(order)} training sessions are too few to hold {share:.0%} of them out"
        )
    return _select(log, order[:-held_out]), _select(log, order[-held_out:])


def in_time_order(log: SessionLog) -> SessionLog:
    """The log with its sessions ordered by their last event."""
    ends = np.append(np.flatnonzero(np.diff(log.session)), len(log) - 1)
    return _select(log, np.argsort(log.ts[ends], kind="stable"))


def _select(log: SessionLog, sessions: NDArray[np.int64]) -> SessionLog:
    """The given sessions in the given order, with the items that they hold."""
    offsets = np.searchsorted(log.session, np.arange(len(log.session_ids) + 1))
    lengths = np.diff(offsets)[sessions]
    begins = np.cumsum(lengths) - lengths
    events = np.repeat(offsets[sessions] - begins, lengths) + np.arange(lengths.sum())
    items, item = np.unique(log.item[events], return_inverse=True)
    digest = hashlib.sha256(log.fingerprint.encode() + sessions.astype(np.int64).tobytes())
    return replace(
        log,
        session_ids=tuple(log.session_ids[s] for s in sessions.tolist()),
        session=np.repeat(np.arange(len(sessions)), lengths),
        item_ids=tuple(log.item_ids[i] for i in items.tolist()),
        item=item.astype(np.int32),
        ts=log.ts[events],
        type=log.type[events],
        seq=log.seq[events],
        features={name: values[events] for name, values in log.features.items()},
        fingerprint=digest.hexdigest(),
    )
