"""Recorded sessions as columns: what preparation writes, and every job reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from session_rec.catalog import UNKNOWN, Catalog
from session_rec.errors import DataError
from session_rec.events import type_code
from session_rec.ragged import Ragged
from session_rec.sessions import SessionRules, context_starts, scored_positions, session_begins

_REQUIRED = ("session_id", "item_id", "ts")
_OPTIONAL = ("type", "seq")

Positions = Literal["every", "last"]
#: Which positions of a session are questions, in words.
_POSITIONS: dict[Positions, str] = {
    "every": "every position with a next event in its session",
    "last": "the last event of every session, after all before it",
}


@dataclass(frozen=True)
class SessionLog:
    """T events of S sessions; the events of a session lie together, in the order ``(ts, seq)``.

    Attributes:
        session_ids: S ids.
        session: int64 [T], index into ``session_ids``, non-decreasing.
        item_ids: the distinct item ids of the log.
        item: int32 [T], index into ``item_ids``.
        ts: int64 [T], milliseconds.
        type_names: the distinct event types of the log.
        type: int16 [T], index into ``type_names``.
        seq: int64 [T], the producer's order within a millisecond; -1 where there is none.
        features: session features by name, object [T].
        fingerprint: sha256 (hex) of the content.

    >>> from session_rec.toy import toy_log
    >>> log = toy_log("pear plum fig", "plum pear")
    >>> log.item_ids, log.session, log.item
    (('pear', 'plum', 'fig'), array([0, 0, 0, 1, 1]), array([0, 1, 2, 1, 0], dtype=int32))
    >>> log.events(Catalog(("pear", "plum"), np.array([2, 2]))).sequence(0)
    array([ 0,  1, -1], dtype=int32)
    """

    session_ids: tuple[str, ...]
    session: NDArray[np.int64]
    item_ids: tuple[str, ...]
    item: NDArray[np.int32]
    ts: NDArray[np.int64]
    type_names: tuple[str, ...]
    type: NDArray[np.int16]
    seq: NDArray[np.int64]
    features: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.ts)

    def first_sessions(self, count: int) -> SessionLog:
        """The log of its first ``count`` sessions; the item ids stay as they are."""
        if count >= len(self.session_ids):
            return self
        t = int(np.searchsorted(self.session, count))
        return replace(
            self,
            session_ids=self.session_ids[:count],
            session=self.session[:t],
            item=self.item[:t],
            ts=self.ts[:t],
            type=self.type[:t],
            seq=self.seq[:t],
            features={k: v[:t] for k, v in self.features.items()},
            fingerprint=f"{self.fingerprint}, first {count} sessions",
        )

    def events(self, catalog: Catalog) -> Ragged:
        """One sequence per session id, with catalog rows (-1 where unknown)."""
        rows = catalog.rows(self.item_ids)[self.item]
        codes = np.array([type_code(t) for t in self.type_names], np.int8)[self.type]
        offsets = np.searchsorted(self.session, np.arange(len(self.session_ids) + 1))
        return Ragged(rows, offsets.astype(np.int64), self.ts, codes)

    def training_sessions(self, catalog: Catalog, rules: SessionRules) -> Ragged:
        """The maximal sessions that the rules cut, without unknown items, for fitting.

        They are longer than a context where a session has more than ``max_length`` events: a model
        crops as it likes. In chronological order of their last event where ``ts`` is a clock.
        """
        self._check_order(rules)
        first = np.flatnonzero(session_begins(self.session, self.ts, rules))
        events = self.events(catalog)
        cut = events.window(first, np.append(first[1:], len(self)))
        cut = cut.keep(cut.rows != UNKNOWN)
        cut = cut.take(np.flatnonzero(cut.lengths > 0))
        if rules.as_given:
            return cut
        return cut.take(np.argsort(cut.ts[cut.offsets[1:] - 1], kind="stable"))

    def questions(
        self,
        catalog: Catalog,
        rules: SessionRules,
        min_prefix: int = 1,
        *,
        positions: Positions = "every",
        since: int | None = None,
    ) -> Questions:
        """Positions that have a next event in their session, as questions with their answers.

        Args:
            min_prefix: events that a session must have had before a question.
            positions: every such position, or of each session only the one before its last event.
            since: leave out answers before this time, in milliseconds.
        """
        self._check_order(rules)
        at = scored_positions(self.session, self.ts, rules)
        starts = context_starts(self.session, self.ts, rules)
        said = _POSITIONS[positions]
        if positions == "last":
            # What is asked at p + 1 too is not the last question of its session.
            at = at[np.diff(at, append=len(self) + 1) != 1]
        if min_prefix > 1:
            first = np.searchsorted(self.session, self.session[at])
            at = at[at - first + 1 >= min_prefix]
        if since is not None:
            at = at[self.ts[at + 1] >= since]
            said += ", where that comes after everything trained on"
        events = self.events(catalog)
        return Questions(
            events, starts[at], at + 1, events.rows[at + 1], self.session[at], at, said
        )

    def _check_order(self, rules: SessionRules) -> None:
        backwards = (np.diff(self.ts) < 0) & (np.diff(self.session) == 0)
        if not rules.as_given and backwards.any():
            raise DataError(
                f"the events of session {self.session_ids[self.session[backwards.argmax()]]!r} "
                "are not in time order; prepare the file first"
            )


@dataclass(frozen=True)
class Questions:
    """Q contexts, each with the item that came next.

    Attributes:
        events: the log as catalog rows; contexts are windows into it.
        starts, ends: int64 [Q], context q is ``events.rows[starts[q]:ends[q]]``.
        targets: int32 [Q], the catalog row that came next, -1 if the catalog does not hold it.
        session: int64 [Q], which session the question is from.
        position: int64 [Q], index of the newest event of the context in the log.
        positions: which positions of a session were asked about, in words.

    >>> from session_rec.toy import toy_log
    >>> catalog = Catalog(("pear", "plum"), np.array([1, 1]))
    >>> questions = toy_log("pear plum kiwi").questions(catalog, SessionRules())
    >>> [questions.contexts(slice(0, 2)).sequence(q).tolist() for q in (0, 1)]
    [[0], [0, 1]]
    >>> questions.targets
    array([ 1, -1], dtype=int32)
    """

    events: Ragged
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    targets: NDArray[np.int32]
    session: NDArray[np.int64]
    position: NDArray[np.int64]
    positions: str = _POSITIONS["every"]

    def __len__(self) -> int:
        return len(self.targets)

    def contexts(self, which: slice) -> Ragged:
        """The contexts of some questions, unknown items (-1) included."""
        return self.events.window(self.starts[which], self.ends[which])


def read_sessions(
    path: Path,
    columns: Mapping[str, str] | None = None,
    where: str | None = None,
    ts_scale: int = 1,
    may_be_empty: bool = False,
) -> SessionLog:
    """The recorded sessions of a Parquet file.

    Args:
        path: columns ``session_id``, ``item_id``, ``ts``, optionally ``type``, ``seq``; any other
            text column is a session feature. Events of one session lie together.
        columns: our name -> the file's name, where they differ.
        where: SQL condition on the file's rows, such as ``split = 'train'``.
        ts_scale: milliseconds in one unit of the file's ``ts``: 1000 for seconds.

    Raises:
        DataError: the file is missing, is no Parquet, lacks a column, or holds no event
            (unless ``may_be_empty``).

    >>> import duckdb, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "clicks.parquet"
    >>> clicks = "VALUES ('ann', 'fig', 1), ('ann', 'plum', 4)"
    >>> duckdb.sql(f"FROM ({clicks}) t(who, item_id, ts)").write_parquet(str(path))
    >>> log = read_sessions(path, {"session_id": "who"}, ts_scale=1000)
    >>> log.session_ids, log.item_ids, log.ts
    (('ann',), ('fig', 'plum'), array([1000, 4000]))
    """
    import duckdb

    if not path.is_file():
        raise DataError(f"{path} is not there: give a Parquet file of sessions")
    names = dict(columns or {})
    con = duckdb.connect()
    con.execute("SET threads = 1; SET enable_progress_bar = false")
    try:
        source = con.read_parquet(str(path))
    except duckdb.Error as e:
        raise DataError(f"{path} is not a Parquet file: {str(e).splitlines()[0]}") from None
    types = dict(zip(source.columns, (str(t) for t in source.types), strict=True))
    missing = [names.get(c, c) for c in _REQUIRED if names.get(c, c) not in types]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(types)}: "
            "name the columns in the settings"
        )
    mapped = {c: names.get(c, c) for c in (*_REQUIRED, *_OPTIONAL) if names.get(c, c) in types}
    extra = [c for c, t in types.items() if t == "VARCHAR" and c not in (*mapped.values(), "split")]
    select = [
        f'CAST("{mapped["session_id"]}" AS VARCHAR) AS session_id',
        f'CAST("{mapped["item_id"]}" AS VARCHAR) AS item_id',
        f'CAST("{mapped["ts"]}" AS BIGINT) * {int(ts_scale)} AS ts',
        f"coalesce(CAST(\"{mapped['type']}\" AS VARCHAR), 'view') AS type"
        if "type" in mapped
        else "'view' AS type",
        f'coalesce(CAST("{mapped["seq"]}" AS BIGINT), -1) AS seq'
        if "seq" in mapped
        else "CAST(-1 AS BIGINT) AS seq",
        *(f'"{c}"' for c in extra),
    ]
    try:
        relation = source.filter(where) if where else source
        table = relation.project(", ".join(select)).fetchnumpy()
    except duckdb.Error as e:
        raise DataError(f"{path}: {str(e).splitlines()[0]}") from None
    if len(table["ts"]) == 0 and not may_be_empty:
        raise DataError(f"{path} holds no event" + (f" where {where}" if where else ""))
    return _from_columns(path, table, extra)


def _from_columns(path: Path, table: Mapping[str, Any], extra: list[str]) -> SessionLog:
    for column in ("session_id", "item_id", "ts"):
        if np.any(getattr(table[column], "mask", False)):
            raise DataError(f"{path}: {column} is empty in some rows; prepare the file first")
    session_ids, session = _codes(table["session_id"])
    if (np.diff(session) < 0).any():
        raise DataError(
            f"{path}: the events of one session do not lie together; prepare the file first"
        )
    item_ids, item = _codes(table["item_id"])
    type_names, types = _codes(table["type"])
    digest = hashlib.sha256()
    ts, seq = np.asarray(table["ts"], np.int64), np.asarray(table["seq"], np.int64)
    for part in (session, item, types, ts, seq):
        digest.update(np.ascontiguousarray(part, np.int64).tobytes())
    for words in (session_ids, item_ids, type_names):
        digest.update("\0".join(words).encode())
    return SessionLog(
        session_ids,
        session,
        item_ids,
        item.astype(np.int32),
        ts,
        type_names,
        types.astype(np.int16),
        seq,
        {c: np.ma.filled(table[c], None) for c in extra},  # type: ignore[no-untyped-call]
        digest.hexdigest(),
    )


def _codes(values: Any) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Codes by first appearance."""
    words = np.asarray(values).tolist()
    known: dict[str, int] = {}
    codes = np.fromiter((known.setdefault(w, len(known)) for w in words), np.int64, len(words))
    return tuple(known), codes
