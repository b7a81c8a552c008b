"""Cuts a timed log into windows, so that whatever is trained on lies before what is scored.

A session belongs to the window in which it **ends**. The paper's code takes the window in which it
begins (preprocessing of Transformers4Rec 23.12: ``save_time_based_splits`` partitions sessions by
their ``first`` day); then a session that crosses midnight puts clicks of the next day into the
training data of a model that is scored on that day. By their ends, the sessions of windows up to T
are over when window T closes. Sessions are never split. Of a session that began
before the border, those clicks that lie before the last training event are no questions
(:attr:`Window.asked_since`): every answer that is scored comes after everything trained on.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from session_rec.errors import ConfigError, DataError
from session_rec.event_log import SessionLog
from session_rec.sessions import SessionRules
from training.session_slices import in_order_of_ends, session_slice

_HOUR_MS = 3_600_000
#: 1990 to 2099 in milliseconds: what an event's clock may say.
_FIRST_MS, _LAST_MS = 631_152_000_000, 4_102_444_800_000


@dataclass(frozen=True)
class WindowLength:
    """How long a window is: so much time, or, for data without a clock, so many sessions.

    Attributes:
        hours: hours of a window; 0 where it is a number of sessions.
        sessions: sessions of a window; 0 where it is a stretch of time.
    """

    hours: int = 0
    sessions: int = 0

    @classmethod
    def parse(cls, text: str) -> WindowLength:
        """The length that ``text`` names.

        Raises:
            ConfigError: it is none of ``day``, ``hour``, ``<N>h`` and ``<N>sessions``.

        >>> WindowLength.parse("day")
        WindowLength(hours=24, sessions=0)
        >>> WindowLength.parse("6h"), WindowLength.parse("5000sessions")
        (WindowLength(hours=6, sessions=0), WindowLength(hours=0, sessions=5000))
        """
        if text in ("day", "hour"):
            return cls(hours=24 if text == "day" else 1)
        found = re.fullmatch(r"([1-9]\d{0,8})(h|sessions)", text)
        if found is None:
            raise ConfigError(
                f"unknown window {text!r}: write day, hour, a number of hours such as 6h, or, for "
                "data without a clock, a number of sessions such as 5000sessions"
            )
        number = int(found[1])
        return cls(hours=number) if found[2] == "h" else cls(sessions=number)

    def __str__(self) -> str:
        if self.sessions:
            return f"{self.sessions:,} sessions"
        return {24: "a day", 1: "an hour"}.get(self.hours, f"{self.hours} hours")


class Window(NamedTuple):
    """One window that holds sessions.

    Attributes:
        name: its beginning in UTC, such as ``2014-09-25`` or ``2014-09-25T13``; ``session-5001``
            (the first of its sessions) where there is no clock.
        first, end: its sessions are ``first`` to ``end - 1`` of the log in order of their ends.
        asked_since: answers before this time, in milliseconds, are no questions: something at
            that time or later is in the windows before.
        fingerprint: sha256 (hex) of its events, whatever lies in other windows.
        past: sha256 (hex) of its events and those of all windows before it.
    """

    name: str
    first: int
    end: int
    asked_since: int
    fingerprint: str
    past: str


@dataclass(frozen=True)
class RollingLog:
    """A log cut into windows.

    Attributes:
        log: all sessions, in order of their ends; under rules with a gap, those the gap begins
            are sessions of their own.
        windows: the windows that hold sessions, oldest first; at least two.
        empty: windows between the first and the last that hold none.
        length: of each window.
    """

    log: SessionLog
    windows: tuple[Window, ...]
    empty: int
    length: WindowLength

    def sessions(self, first: int, window: int, end: int | None = None) -> SessionLog:
        """The sessions ``first`` to the last of a window, or to ``end - 1`` within it, with the
        items that they hold."""
        last = self.windows[window]
        end = last.end if end is None else end
        name = f"{last.past} sessions {first} to {end}"
        return session_slice(self.log, first, end, hashlib.sha256(name.encode()).hexdigest())

    def window(self, window: int) -> SessionLog:
        """The sessions of one window with the items that they hold."""
        w = self.windows[window]
        return session_slice(self.log, w.first, w.end, w.fingerprint)


def cut_windows(log: SessionLog, rules: SessionRules, length: WindowLength) -> RollingLog:
    """The windows of ``log``, aligned to midnight UTC.

    Raises:
        DataError: there is no clock in the log, its ``ts`` does not order the sessions, or all of
            it lies in one window.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import duckdb
    >>> from session_rec.event_log import read_sessions
    >>> file, day = Path(tempfile.mkdtemp()) / "sessions.parquet", 86_400_000
    >>> at = 20_000 * day
    >>> values = f"('s', 'a', {at}), ('s', 'b', {at + 5}), ('t', 'a', {at + 2 * day})"
    >>> columns = "t(session_id, item_id, ts)"
    >>> _ = duckdb.sql(f"COPY (SELECT * FROM (VALUES {values}) {columns}) TO '{file}'")
    >>> data = cut_windows(read_sessions(file), SessionRules(), WindowLength.parse("day"))
    >>> [(w.name, w.end - w.first) for w in data.windows], data.empty
    ([('2024-10-04', 1), ('2024-10-06', 1)], 1)
    """
    if len(log) == 0:
        raise DataError("there is no event in the data: rolling windows need at least two of them")
    if length.hours:
        _check_clock(log)
    ordered, begins, ends = in_order_of_ends(log, rules)
    if length.sessions:
        number = np.arange(len(ends)) // length.sessions
    else:
        number = ends // (length.hours * _HOUR_MS)
    found, first = np.unique(number, return_index=True)
    if len(found) < 2:
        what = f"{len(ends):,} sessions" if length.sessions else "time"
        raise DataError(
            f"all {what} of the data lies in one window of {length}: one is trained on and "
            "the next is scored, so choose shorter windows"
        )
    bounds = np.append(first, len(ends))
    if length.sessions and begins[bounds[-2] :].max() <= ends[0]:
        raise DataError(
            "ts does not say which session came first: all sessions of the last window begin "
            "before the first one of all ends, as where ts counts the events of each session; give "
            "a ts that rises from session to session"
        )
    windows: list[Window] = []
    past = ""
    for w, (a, b) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        since = int(ends[a - 1]) + 1 if a else int(begins.min())
        name = f"session-{a + 1}" if length.sessions else _name(int(found[w]), length.hours)
        fingerprint = _content(session_slice(ordered, a, b, ""))
        past = hashlib.sha256(f"{past} {fingerprint}".encode()).hexdigest()
        windows.append(Window(name, a, b, since, fingerprint, past))
    empty = int(found[-1] - found[0] + 1 - len(found))
    return RollingLog(ordered, tuple(windows), empty, length)


def without_repeats(log: SessionLog) -> SessionLog:
    """The log with clicks on the same item in a row as one, the first of them, as the paper's
    preprocessing has it."""
    kept = np.ones(len(log), bool)
    kept[1:] = (np.diff(log.session) != 0) | (np.diff(log.item) != 0)
    return replace(
        log,
        session=log.session[kept],
        item=log.item[kept],
        ts=log.ts[kept],
        type=log.type[kept],
        seq=log.seq[kept],
        features={name: values[kept] for name, values in log.features.items()},
        fingerprint=f"{log.fingerprint}, without repeats",
    )


def _check_clock(log: SessionLog) -> None:
    first, last = int(log.ts.min()), int(log.ts.max())
    if _is_time(first, last):
        return
    if _is_time(first * 1000, last * 1000):
        raise DataError(
            f"ts runs from {first} to {last}, which are seconds, not milliseconds: "
            'set ts_unit = "s"'
        )
    if _is_time(first // 1000, last // 1000):
        raise DataError(
            f"read as milliseconds, ts runs from {first} to {last}, far beyond this age: it is in "
            "another unit than ts_unit says"
        )
    raise DataError(
        f"ts is no clock (it runs from {first} to {last}), so there are no days or hours in the "
        "data: give windows of a number of sessions, such as --window 5000sessions"
    )


def _is_time(first_ms: int, last_ms: int) -> bool:
    return first_ms >= _FIRST_MS and last_ms <= _LAST_MS


def _content(log: SessionLog) -> str:
    """sha256 (hex) of the events: equal for equal content, whatever codes stand for the ids."""
    digest = hashlib.sha256()
    for numbers in (log.session, log.ts, log.seq):
        digest.update(np.ascontiguousarray(numbers, np.int64).tobytes())
    items, types = log.item_ids, log.type_names
    digest.update("\0".join(log.session_ids).encode())
    digest.update("\0".join(items[i] for i in log.item.tolist()).encode())
    digest.update("\0".join(types[t] for t in log.type.tolist()).encode())
    return digest.hexdigest()


def _name(number: int, hours: int) -> str:
    begin = datetime.fromtimestamp(number * hours * 3600, UTC)
    return f"{begin:%Y-%m-%d}" if hours % 24 == 0 else f"{begin:%Y-%m-%dT%H}"
