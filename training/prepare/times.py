"""Times of any unit -> milliseconds since 1970-01-01 UTC, in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from session_rec.errors import DataError
from training.prepare.config import PrepareConfig
from training.sources import epoch_ms

_WORDS = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "iso": "ISO 8601 dates",
    "index": "a running index, no clock",
    "timestamp": "timestamps of the file",
}
# Multipliers to milliseconds, exact: DuckDB divides decimals as floating-point numbers.
_DECIMAL_FACTOR = {"s": "1000", "ms": "1", "index": "1", "us": "0.001", "ns": "0.000001"}
_NUMBER = "TRY_CAST(ts AS DECIMAL(28, 9))"
_INTEGER_DIVISOR = {"ms": 1, "index": 1, "us": 1_000, "ns": 1_000_000}
# Lower bounds of the sizes that a unit's numbers have from 1973 to 5138.
_SIZES = (("ns", 1e17), ("us", 1e14), ("ms", 1e11), ("s", 1e8))


@dataclass(frozen=True)
class TsReading:
    """How the time column was read.

    Attributes:
        kind: what it holds: text, integer or timestamp.
        unit: s, ms, us, ns, iso, index or timestamp.
        detected: whether the unit was told by the values, not by the settings.
        votes: values that look like this unit, where detected.
    """

    kind: str
    unit: str
    detected: bool
    votes: int

    @property
    def words(self) -> str:
        """The unit in words."""
        return _WORDS[self.unit]


def detect_unit(con: Any, kind: str, config: PrepareConfig) -> TsReading:
    """The unit of ``raw.ts``: as set, or the one that most values look like.

    Raises:
        DataError: the numbers are too small for a clock where the session rules need one.
    """
    if kind == "timestamp":
        return TsReading(kind, "timestamp", False, 0)
    if config.ts_unit != "auto":
        return TsReading(kind, config.ts_unit, False, 0)
    number = f"CAST({'ts' if kind == 'integer' else _NUMBER} AS DOUBLE)"
    size = f"abs({number})"
    cases = " ".join(f"WHEN {size} >= {bound:.0f} THEN '{unit}'" for unit, bound in _SIZES)
    iso = "TRY_CAST(ts AS TIMESTAMPTZ) IS NOT NULL" if kind == "text" else "false"
    votes = dict(
        con.execute(
            f"""SELECT unit, count(*) FROM (
                SELECT CASE {cases} WHEN {number} IS NOT NULL THEN 'index'
                    WHEN {iso} THEN 'iso' END AS unit
                FROM raw WHERE ts IS NOT NULL)
            WHERE unit IS NOT NULL GROUP BY unit"""
        ).fetchall()
    )
    # Where nothing parses, the complaint about that comes with the count.
    unit = max(("iso", "ms", "s", "us", "ns", "index"), key=lambda u: votes.get(u, 0))
    if unit == "index" and (config.session_rules.name != "pairs" or config.split.by_days):
        low, high = con.execute(f"SELECT min({number}), max({number}) FROM raw").fetchall()[0]
        raise DataError(
            f"the time column {config.columns.ts!r} holds no clock but numbers from {low:.0f} to "
            f"{high:.0f}: set ts_unit, or take sessions as given (session_rules.name = 'pairs') "
            "and split by fractions"
        )
    return TsReading(kind, unit, True, votes.get(unit, 0))


def milliseconds(time: TsReading) -> str:
    """SQL: ``raw.ts`` as BIGINT milliseconds, rounded down; NULL where it does not parse."""
    if time.kind == "timestamp":
        return "ts"
    if time.unit == "iso":
        text = "ts" if time.kind == "text" else "CAST(ts AS VARCHAR)"
        return epoch_ms(f"TRY_CAST({text} AS TIMESTAMPTZ)")
    if time.kind == "integer":
        if time.unit == "s":
            # Beyond any clock; multiplied, it would overflow.
            return "CASE WHEN ts BETWEEN 0 AND 1000000000000 THEN ts * 1000 ELSE -1 END"
        divisor = _INTEGER_DIVISOR[time.unit]
        # Integer division rounds towards 0, where -1 must stay out of range.
        return "ts" if divisor == 1 else f"CASE WHEN ts < 0 THEN -1 ELSE ts // {divisor} END"
    return f"TRY_CAST(floor({_NUMBER} * {_DECIMAL_FACTOR[time.unit]}) AS BIGINT)"
