"""Raw click rows, and the test's own reading of the session rules: ten lines that know nothing of
``session_rec.sessions``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MINUTE = 60_000
MAX_LENGTH, INACTIVITY_MS, HORIZON_MS = 12, 10 * MINUTE, 30 * MINUTE
RULES = {
    "name": "shop",
    "max_length": MAX_LENGTH,
    "inactivity_ms": INACTIVITY_MS,
    "horizon_ms": HORIZON_MS,
}


class Row(NamedTuple):
    """A line of the clickstream, as it arrived."""

    session: str
    item: str
    ts: int
    type: str
    arrived: int = 0


class Click(NamedTuple):
    """A distinct event; ``arrival`` is a row number or an offset."""

    ts: int
    arrival: int
    item: str
    type: str


def newest_context(clicks: Sequence[Click]) -> list[Click]:
    """The context after the last of these distinct clicks in time order."""
    kept = clicks[-MAX_LENGTH:]
    context = [kept[-1]]
    for older in reversed(kept[:-1]):
        if context[0].ts - older.ts > INACTIVITY_MS or kept[-1].ts - older.ts > HORIZON_MS:
            break
        context.insert(0, older)
    return context


def recorded_sessions(rows: Iterable[Row]) -> dict[str, list[Click]]:
    """The distinct clicks of each session id in time order; the first to arrive of equals counts,
    and its place among the rows orders clicks of one millisecond."""
    found: dict[str, dict[tuple[str, int, str], Click]] = {}
    for n, row in enumerate(rows):
        key = (row.item, row.ts, row.type)
        found.setdefault(row.session, {}).setdefault(key, Click(row.ts, n, row.item, row.type))
    return {session: sorted(clicks.values()) for session, clicks in found.items()}


def visits(clicks: Sequence[Click]) -> list[list[Click]]:
    """The clicks of one session id, cut at each gap that begins a new session."""
    out = [[clicks[0]]]
    for click in clicks[1:]:
        if click.ts - out[-1][-1].ts > INACTIVITY_MS:
            out.append([])
        out[-1].append(click)
    return out
