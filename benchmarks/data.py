"""Recorded sessions with a train and a test split, and the slice of train that serves tuning."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from session_rec.errors import DataError
from session_rec.event_log import SessionLog, read_sessions

_COLUMNS = ("session_id", "item_id", "ts", "split")

#: Unix seconds from 1990 to 2099; milliseconds are a thousand times that.
_FIRST_SECOND, _LAST_SECOND = 631_152_000, 4_102_444_800


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
    scale, columns = _inspect(path)
    train, test = (
        read_sessions(path, columns, where=f"split = '{split}'", ts_scale=scale or 1)
        for split in ("train", "test")
    )
    if scale is None:
        train, test = (
            replace(log, ts=np.arange(len(log), dtype=np.int64)) for log in (train, test)
        )
    digest = hashlib.sha256(f"{train.fingerprint} {test.fingerprint}".encode()).hexdigest()
    return BenchmarkData(path.stem, train, test, scale is not None, digest)


def read_whole(path: Path) -> tuple[SessionLog, bool]:
    """All sessions of such a file, a ``split`` not looked at, and whether its ``ts`` is a clock.

    Raises:
        DataError: as :func:`read_benchmark`.
    """
    scale, columns = _inspect(path, ("session_id", "item_id", "ts"))
    log = read_sessions(path, columns, ts_scale=scale or 1)
    if scale is None:
        log = replace(log, ts=np.arange(len(log), dtype=np.int64))
    return log, scale is not None


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


def _inspect(path: Path, needed: tuple[str, ...] = _COLUMNS) -> tuple[int | None, dict[str, str]]:
    """Milliseconds per unit of ``ts`` (None: it is no clock), and the mapping of columns."""
    import duckdb

    if not path.is_file():
        raise DataError(f"{path} is not there: give a Parquet file of sessions with --data")
    try:
        source = duckdb.connect().read_parquet(str(path))
    except duckdb.Error as e:
        raise DataError(f"{path} is not a Parquet file: {str(e).splitlines()[0]}") from None
    missing = [c for c in needed if c not in source.columns]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(source.columns)}: "
            f"this benchmark needs {', '.join(needed)}"
        )
    try:
        ((first, last),) = source.aggregate(
            "min(CAST(ts AS BIGINT)), max(CAST(ts AS BIGINT))"
        ).fetchall()
    except duckdb.Error as e:
        raise DataError(f"{path}: ts must be whole numbers: {str(e).splitlines()[0]}") from None
    columns = {"type": "event_type"} if "event_type" in source.columns else {}
    if first is None:
        raise DataError(f"{path} holds no event with a ts")
    return _clock_scale(first, last), columns


def _clock_scale(first: int, last: int) -> int | None:
    for scale in (1000, 1):
        unit = 1000 // scale
        if _FIRST_SECOND * unit <= first and last <= _LAST_SECOND * unit:
            return scale
    return None
