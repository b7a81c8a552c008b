"""Recorded data sets in one Parquet file: finds its columns, and what its ``ts`` counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from session_rec.errors import DataError
from session_rec.event_log import SessionLog, read_sessions

_NEEDED = ("session_id", "item_id", "ts")

#: Unix seconds from 1990 to 2099; milliseconds are a thousand times that.
_FIRST_SECOND, _LAST_SECOND = 631_152_000, 4_102_444_800


@dataclass(frozen=True)
class RecordedFile:
    """A Parquet file of sessions.

    Attributes:
        path: the file.
        columns: our name -> the file's, where they differ.
        ts_scale: milliseconds per unit of its ``ts``; None where that is no clock.
        has_split: whether a column ``split`` says what a row is for.
    """

    path: Path
    columns: Mapping[str, str]
    ts_scale: int | None
    has_split: bool

    def read(self, where: str | None = None) -> SessionLog:
        """Its sessions, as given; ``ts`` in milliseconds, or the running number of the event
        where the file's is no clock.

        Raises:
            DataError: a column cannot be read, or no row is left.
        """
        log = read_sessions(self.path, self.columns, where, self.ts_scale or 1)
        if self.ts_scale is None:
            log = replace(log, ts=np.arange(len(log), dtype=np.int64))
        return log


def find_columns(
    path: Path,
    columns: Mapping[str, str] | None = None,
    needed: Sequence[str] = _NEEDED,
) -> RecordedFile:
    """What is in the Parquet file ``path``; ``event_type`` is taken as ``type``.

    Args:
        columns: our name -> the file's, where they differ.
        needed: our names of the columns that must be there.

    Raises:
        DataError: the file is missing, is no Parquet, lacks a column or holds no event.
    """
    import duckdb

    if not path.is_file():
        raise DataError(f"{path} is not there: give a Parquet file of sessions")
    try:
        source = duckdb.connect().read_parquet(str(path))
    except duckdb.Error as e:
        raise DataError(f"{path} is not a Parquet file: {str(e).splitlines()[0]}") from None
    names = dict(columns or {})
    wanted = [names.get(c, c) for c in needed]
    missing = [c for c in wanted if c not in source.columns]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(source.columns)}: "
            f"needed are {', '.join(wanted)}"
        )
    ts = names.get("ts", "ts")
    try:
        ((first, last),) = source.aggregate(
            f'min(CAST("{ts}" AS BIGINT)), max(CAST("{ts}" AS BIGINT))'
        ).fetchall()
    except duckdb.Error as e:
        raise DataError(f"{path}: {ts} must be whole numbers: {str(e).splitlines()[0]}") from None
    if first is None:
        raise DataError(f"{path} holds no event with a {ts}")
    if "type" not in names and "type" not in source.columns and "event_type" in source.columns:
        names["type"] = "event_type"
    return RecordedFile(path, names, clock_scale(first, last), "split" in source.columns)


def clock_scale(first: int, last: int) -> int | None:
    """Milliseconds per unit of a clock that runs from ``first`` to ``last``; None if it is none.

    >>> clock_scale(1_400_000_000, 1_400_086_400), clock_scale(1_400_000_000_000, 1_400_000_000_001)
    (1000, 1)
    >>> print(clock_scale(1, 5000))
    None
    """
    for scale in (1000, 1):
        unit = 1000 // scale
        if _FIRST_SECOND * unit <= first and last <= _LAST_SECOND * unit:
            return scale
    return None
