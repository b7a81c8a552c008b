"""The cut into visits: sorted events stream through the functions of `session_rec.sessions`.

A visit is a maximal session under the rules: the events of one session id without a gap that
begins a new session. Nothing here decides what a duplicate or a visit is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from session_rec.sessions import SessionRules, first_arrivals, session_begins

_BATCH = 1 << 17  # rows asked for at once; a batch then grows to the end of its last session
Progress = Callable[[int], Any]


def cut_events(con: Any, rules: SessionRules, target: Path, progress: Progress) -> int:
    """Writes the events of the view ``events`` without duplicates to ``target`` (Parquet).

    They lie session by session in the order of the rules. New columns, all BIGINT from 0:
    ``session`` (a number per session id), ``visit`` and ``pos`` (the place in the file). Returns
    the number of duplicates.
    """
    # Position alone orders sessions that are taken as given.
    order = "seq, arrival" if rules.as_given else "ts, seq, arrival"
    reader = con.sql(f"SELECT * FROM events ORDER BY session_id, {order}").to_arrow_reader(_BATCH)
    read = written = 0

    def batches() -> Iterator[pa.Table]:
        nonlocal read
        sessions = visits = 0
        for table in whole_groups(reader, "session_id"):
            read += table.num_rows
            progress(table.num_rows)
            table = _without_duplicates(table, rules)
            session = codes(table["session_id"]) + sessions
            visit = _visits(session, numbers(table["ts"]), rules) + visits
            sessions, visits = int(session[-1]) + 1, int(visit[-1]) + 1
            table = table.append_column("session", pa.array(session))
            yield table.append_column("visit", pa.array(visit))

    tables = batches()
    first = next(tables)
    with pq.ParquetWriter(target, first.append_column("pos", first["arrival"]).schema) as writer:
        for table in chain([first], tables):
            pos = np.arange(written, written + table.num_rows)
            writer.write_table(table.append_column("pos", pa.array(pos)))
            written += table.num_rows
    return read - written


def cut_again(con: Any, sorted_events: str, rules: SessionRules, target: Path) -> None:
    """Writes events that lost some of their kind to ``target``, with their visits cut anew.

    ``sorted_events`` is SQL with the columns ``visit`` and ``ts`` and any others, in the order of
    the rules: where an event in the middle was dropped, the gap may now begin a new session.
    """
    reader = con.sql(sorted_events).to_arrow_reader(_BATCH)
    place, visits = reader.schema.get_field_index("visit"), 0
    with pq.ParquetWriter(target, reader.schema) as writer:
        for table in whole_groups(reader, "visit"):
            visit = _visits(numbers(table["visit"]), numbers(table["ts"]), rules) + visits
            visits = int(visit[-1]) + 1
            table = table.set_column(place, "visit", pa.array(visit))
            writer.write_table(table.cast(reader.schema))


def whole_groups(reader: Iterator[pa.RecordBatch], key: str) -> Iterator[pa.Table]:
    """The rows of ``reader`` in tables that end where the value of ``key`` changes.

    Memory is bounded by a batch and the longest group. Rows of one value must lie together.
    """
    held: list[pa.RecordBatch] = []
    for batch in reader:
        if batch.num_rows == 0:
            continue
        if held and held[-1][key][-1] != batch[key][0]:
            yield pa.Table.from_batches(held)
            held = []
        changes = np.flatnonzero(np.diff(codes(batch[key])))
        if len(changes):
            end = int(changes[-1]) + 1
            yield pa.Table.from_batches([*held, batch.slice(0, end)])
            held = [batch.slice(end)]
        else:
            held.append(batch)
    if held:
        yield pa.Table.from_batches(held)


def codes(column: Any) -> NDArray[np.int64]:
    """int64 [T]: equal numbers for equal values of a column."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return np.asarray(pc.dictionary_encode(column).indices).astype(np.int64)


def numbers(column: Any) -> NDArray[np.int64]:
    """int64 [T]: the values of a BIGINT column."""
    return np.asarray(column.to_numpy(), np.int64)


def _without_duplicates(table: pa.Table, rules: SessionRules) -> pa.Table:
    session, ts = codes(table["session_id"]), numbers(table["ts"])
    if not rules.as_given:
        # Sorted by session and time, duplicates lie among events of one time: look at these only.
        same = (np.diff(session) == 0) & (np.diff(ts) == 0)
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    else:
        tied = np.arange(len(ts))
    some = table.take(tied)
    keep = np.ones(len(ts), bool)
    keep[tied] = first_arrivals(
        session[tied],
        ts[tied],
        codes(some["item_id"]),
        codes(some["type"]),
        numbers(some["arrival"]),
        rules,
    )
    return table if keep.all() else table.filter(pa.array(keep))


def _visits(
    group: NDArray[np.int64], ts: NDArray[np.int64], rules: SessionRules
) -> NDArray[np.int64]:
    return np.cumsum(session_begins(group, ts, rules), dtype=np.int64) - 1
