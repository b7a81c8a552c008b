"""Split by time, then clean what models are fitted on: bots, rare items, short visits.

Test keeps everything, unknown items included: live contexts are not cleaned either.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from session_rec.errors import DataError
from session_rec.sessions import SessionRules
from training.prepare.config import PrepareConfig
from training.prepare.cut import cut_again
from training.sources import file_list

SPLITS = ("train", "validation", "test")
_TRAIN, _VALIDATION, _TEST = range(3)
_DAY_MS = 24 * 60 * 60 * 1000
BOTS, RARE, SHORT = "bots", "rare items", "short sessions"


@dataclass(frozen=True, slots=True)
class Drop:
    """Events that a filter dropped, and visits of which it left nothing."""

    events: int = 0
    visits: int = 0

    def __add__(self, other: Drop) -> Drop:
        return Drop(self.events + other.events, self.visits + other.visits)


@dataclass
class Cleaning:
    """What cleaning did.

    Attributes:
        drops: filter -> what it dropped.
        visits_split: visits more than before because a dropped item left too long a gap.
        passes: how often the support and length filters ran.
        settled: whether another pass would drop nothing.
    """

    drops: dict[str, Drop]
    visits_split: int = 0
    passes: int = 0
    settled: bool = False


def split_by_time(con: Any, config: PrepareConfig) -> dict[str, int]:
    """Makes the table ``visits`` (visit, events, start_ts, span, part) of the view ``cut``.

    ``part`` is an index into :data:`SPLITS`. Returns the visits of each split.

    Raises:
        DataError: nothing is left for training.
    """
    con.execute(
        """CREATE TABLE bare_visits AS
        SELECT visit, count(*) AS events, min_by(ts, pos) AS start_ts,
            min_by(arrival, pos) AS start_arrival, max(ts) - min(ts) AS span
        FROM cut GROUP BY visit"""
    )
    newest, total = con.execute("SELECT max(start_ts), count(*) FROM bare_visits").fetchall()[0]
    split = config.split
    if split.by_days:
        place = "start_ts"
        test = newest - round((split.test_days or 0) * _DAY_MS)
        validation = test - round((split.validation_days or 0) * _DAY_MS)
    else:
        place = "row_number() OVER (ORDER BY start_ts, start_arrival)"
        test = total - round((split.test_fraction or 0) * total)
        validation = test - round((split.validation_fraction or 0) * total)
    con.execute(
        f"""CREATE TABLE visits AS
        SELECT visit, events, start_ts, span, CASE WHEN place > {test} THEN {_TEST}
            WHEN place > {validation} THEN {_VALIDATION} ELSE {_TRAIN} END AS part
        FROM (SELECT *, {place} AS place FROM bare_visits)"""
    )
    con.execute("DROP TABLE bare_visits")
    found = dict(con.execute("SELECT part, count(*) FROM visits GROUP BY part").fetchall())
    if not found.get(_TRAIN):
        raise DataError(
            f"the split leaves no session for training: all {total} start within the time held "
            "out; hold out less ([split])"
        )
    return {name: found.get(n, 0) for n, name in enumerate(SPLITS)}


def clean(con: Any, config: PrepareConfig, scratch: Path) -> Cleaning:
    """Makes the table ``kept`` (pos, visit, item_id, ts, part): the events of all splits.

    Support, then length, is repeated until neither drops anything, at most ``max_passes`` times:
    without its rare items a session may be too short, and without short sessions an item rare.
    """
    bots = _bots(config)
    con.execute(
        f"""CREATE TABLE kept AS
        SELECT c.pos, c.visit, c.item_id, c.ts, v.part FROM cut c JOIN visits v USING (visit)
        WHERE v.part <> {_TEST} AND NOT ({bots})"""
    )
    dropped, dropped_visits = con.execute(
        f"SELECT coalesce(sum(events), 0), count(*) FROM visits WHERE part <> {_TEST} AND ({bots})"
    ).fetchall()[0]
    result = Cleaning({BOTS: Drop(dropped, dropped_visits), RARE: Drop(), SHORT: Drop()})
    while not result.settled and result.passes < config.max_passes:
        result.passes += 1
        rare = _drop_rare_items(con, config.min_item_support)
        if rare.events and not config.rules.as_given:
            result.visits_split += _cut_again(con, config.rules, scratch)
        short = _drop_short_visits(con, config.min_session_length)
        result.drops[RARE] += rare
        result.drops[SHORT] += short
        # Only what the length filter drops can make another item rare.
        result.settled = short.events == 0 or config.min_item_support == 1
    con.execute(
        f"""INSERT INTO kept
        SELECT c.pos, c.visit, c.item_id, c.ts, {_TEST}
        FROM cut c JOIN visits v USING (visit) WHERE v.part = {_TEST}"""
    )
    return result


def _bots(config: PrepareConfig) -> str:
    """SQL: whether a visit is no shopper's."""
    bots = config.bots
    conditions = ["false"]
    if bots.max_events:
        conditions.append(f"events > {bots.max_events}")
    if bots.min_seconds_per_event:
        pace = round(bots.min_seconds_per_event * 1000)
        conditions.append(f"events >= {bots.fast_events} AND span < {pace} * (events - 1)")
    return " OR ".join(conditions)


def _drop_rare_items(con: Any, support: int) -> Drop:
    return _keep_only(con, "item_id", support) if support > 1 else Drop()


def _drop_short_visits(con: Any, length: int) -> Drop:
    return _keep_only(con, "visit", length) if length > 1 else Drop()


def _keep_only(con: Any, key: str, at_least: int) -> Drop:
    """Keeps the events whose value of ``key`` has ``at_least`` events."""
    before = _size(con)
    con.execute(
        f"""CREATE TABLE fewer AS SELECT k.* FROM kept k
        JOIN (SELECT {key} FROM kept GROUP BY {key} HAVING count(*) >= {at_least}) frequent
        USING ({key})"""
    )
    _replace(con, "fewer")
    after = _size(con)
    return Drop(before[0] - after[0], before[1] - after[1])


def _cut_again(con: Any, rules: SessionRules, scratch: Path) -> int:
    """Returns how many visits there are more, now that gaps are longer."""
    before = _size(con)[1]
    if before == 0:
        return 0
    again = scratch / "again.parquet"
    cut_again(con, "SELECT * FROM kept ORDER BY pos", rules, again)
    con.execute(f"CREATE TABLE fewer AS SELECT * FROM read_parquet({file_list([again])})")
    _replace(con, "fewer")
    again.unlink()
    return _size(con)[1] - before


def _replace(con: Any, table: str) -> None:
    con.execute("DROP TABLE kept")
    con.execute(f"ALTER TABLE {table} RENAME TO kept")


def _size(con: Any) -> tuple[int, int]:
    events, visits = con.execute("SELECT count(*), count(DISTINCT visit) FROM kept").fetchall()[0]
    return events, visits
