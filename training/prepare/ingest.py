"""Files -> a table of events in the order of arrival, and why a row is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from session_rec.errors import DataError
from session_rec.events import MAX_TS_MS
from training.prepare.config import PrepareConfig
from training.prepare.times import TsReading, detect_unit, milliseconds
from training.sources import (
    Part,
    Source,
    first_line,
    identifier,
    literal,
    missing_columns,
    read_parts,
    text_of,
    time_of,
)

# Why a row is dropped before any session is made, in the order in which it is looked for. What a
# producer may not send live (`events.EventMessage`) is no event here either.
MALFORMED = "malformed line"
ROW_REASONS = (
    MALFORMED,
    "no session id",
    "no item id",
    "no time",
    "time does not parse",
    "time out of range",
    "seq is no number from 0",
    "text too long",
    "event type not kept",
    "outside start and end",
)
_MAX_ID, _MAX_TYPE, _MAX_FEATURE = 256, 64, 256


@dataclass(frozen=True)
class Ingested:
    """What lies in the tables ``raw`` and ``events`` of the connection.

    Attributes:
        rows: rows and lines read.
        dropped: reason -> rows that are in ``raw`` only, or not even there.
        time: how ``ts`` was read.
        features: names of the feature columns.
    """

    rows: int
    dropped: dict[str, int]
    time: TsReading
    features: tuple[str, ...]

    @property
    def events(self) -> int:
        """Rows that are events."""
        return self.rows - sum(self.dropped.values())


def ingest(con: Any, source: Source, config: PrepareConfig) -> Ingested:
    """Reads ``source`` into the table ``raw`` and lays the view ``events`` over it.

    ``events`` has the columns session_id, item_id, ts (ms), type, seq (the producer's, else the
    row), arrival (the row, over all files), and ``f0``, ``f1`` … for the features.

    Raises:
        DataError: the files are unreadable, lack columns, or hold too much that is no event.
    """
    kind, rejected = _read(con, source, config)
    rows = con.execute("SELECT count(*) FROM raw").fetchall()[0][0] + rejected
    if rows == 0:
        raise DataError(f"{config.input} holds no row")
    malformed = rejected + con.execute("SELECT count(*) FROM raw WHERE malformed").fetchall()[0][0]
    if malformed > config.max_malformed_share * rows:
        raise DataError(
            f"{malformed} of {rows} lines of {config.input} are no {source.format} records "
            f"({_example(con, source)}): mend the file, or raise max_malformed_share"
        )
    if source.format == "jsonl":
        _check_json_columns(con, source, config)
    time = detect_unit(con, kind, config)
    features = tuple(config.columns.features)
    _create_events(con, config, time, features)
    counted = con.execute(
        "SELECT reason, count(*) FROM judged WHERE reason IS NOT NULL GROUP BY reason"
    ).fetchall()
    found = {ROW_REASONS[reason]: n for reason, n in counted}
    found[MALFORMED] = malformed
    result = Ingested(rows, {r: found.get(r, 0) for r in ROW_REASONS}, time, features)
    _check_times(con, result, config)
    if result.events == 0:
        reason = max(result.dropped, key=lambda r: result.dropped[r])
        raise DataError(
            f"no event is left of {rows} rows of {config.input}: most were dropped because of "
            f"{reason!r} ({result.dropped[reason]})"
        )
    return result


def _read(con: Any, source: Source, config: PrepareConfig) -> tuple[str, int]:
    """Fills ``raw``; returns the kind of its times and the lines that no reader took."""
    import duckdb

    names = config.columns
    wanted = [names.session_id, names.item_id, names.ts]
    wanted += [c for c in (names.type, names.seq) if c is not None]
    wanted += names.features.values()
    kind = "text"
    for n, part in enumerate(read_parts(con, source, config.csv_layout, wanted)):
        select, kind = _raw_columns(part, config)
        begin = "CREATE TABLE raw AS" if n == 0 else "INSERT INTO raw"
        try:
            con.execute(f"{begin} SELECT {select} FROM {part.relation}")
        except (duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise
        except duckdb.Error as e:
            raise DataError(
                f"{_names(part)} cannot be read as {source.format}: {first_line(e)}"
            ) from None
    rejected = 0
    if source.format == "csv":
        rejected = con.execute(
            "SELECT count(*) FROM (SELECT DISTINCT scan_id, file_id, line FROM reject_errors)"
        ).fetchall()[0][0]
    return kind, rejected


def _raw_columns(part: Part, config: PrepareConfig) -> tuple[str, str]:
    names = config.columns
    ts, kind = time_of(part, names.ts)
    kept = {
        "malformed": part.malformed,
        "session_id": text_of(part, names.session_id),
        "item_id": text_of(part, names.item_id),
        "ts": ts,
        "type": text_of(part, names.type) if names.type else "CAST(NULL AS VARCHAR)",
        "seq": text_of(part, names.seq) if names.seq else "CAST(NULL AS VARCHAR)",
    }
    for n, column in enumerate(names.features.values()):
        kept[f"f{n}"] = text_of(part, column)
    return ", ".join(f"{sql} AS {name}" for name, sql in kept.items()), kind


def _create_events(
    con: Any, config: PrepareConfig, time: TsReading, features: tuple[str, ...]
) -> None:
    names = [f"f{n}" for n in range(len(features))]
    renamed = "".join(
        f" WHEN {literal(theirs)} THEN {literal(ours)}"
        for theirs, ours in config.type_names.items()
    )
    type_ = "coalesce(type, 'view')"
    type_ = f"CASE {type_}{renamed} ELSE {type_} END" if renamed else type_
    con.execute(
        f"""CREATE VIEW typed AS
        SELECT malformed, session_id, item_id, ts AS ts_read, {milliseconds(time)} AS ts,
            {type_} AS type, seq AS seq_read,
            CASE WHEN regexp_matches(seq, '^[0-9]{{1,19}}$') THEN TRY_CAST(seq AS BIGINT) END
                AS seq,
            rowid AS arrival{"".join(", " + f for f in names)}
        FROM raw"""
    )
    too_long = [f"length(session_id) > {_MAX_ID}", f"length(item_id) > {_MAX_ID}"]
    too_long += [f"length(type) > {_MAX_TYPE}", *(f"length({f}) > {_MAX_FEATURE}" for f in names)]
    kept = ", ".join(literal(t) for t in config.keep_types)
    outside = ["false"]
    if config.start:
        outside.append(f"ts < {int(config.start.timestamp() * 1000)}")
    if config.end:
        outside.append(f"ts >= {int(config.end.timestamp() * 1000)}")
    conditions = (
        "malformed",
        "session_id IS NULL",
        "item_id IS NULL",
        "ts_read IS NULL",
        "ts IS NULL",
        f"ts < 0 OR ts > {MAX_TS_MS}",
        "seq_read IS NOT NULL AND seq IS NULL",
        " OR ".join(f"coalesce({c}, false)" for c in too_long),
        f"type NOT IN ({kept})" if kept else "false",
        " OR ".join(outside),
    )
    cases = " ".join(f"WHEN {c} THEN {n}" for n, c in enumerate(conditions))
    con.execute(f"CREATE VIEW judged AS SELECT *, CASE {cases} END AS reason FROM typed")
    con.execute(
        f"""CREATE VIEW events AS
        SELECT session_id, item_id, ts, type, coalesce(seq, arrival) AS seq, arrival
            {"".join(", " + f for f in names)}
        FROM judged WHERE reason IS NULL"""
    )


def _check_times(con: Any, result: Ingested, config: PrepareConfig) -> None:
    unit, column = result.time.words, config.columns.ts
    for reason, limit, setting in (
        ("time does not parse", config.max_unparsed_ts_share, " (or raise max_unparsed_ts_share)"),
        ("time out of range", 0.5, ""),
    ):
        n = result.dropped[reason]
        if n > limit * result.rows:
            row, value = con.execute(
                "SELECT arrival + 1, CAST(ts_read AS VARCHAR) FROM judged "
                f"WHERE reason = {ROW_REASONS.index(reason)} ORDER BY arrival LIMIT 1"
            ).fetchall()[0]
            raise DataError(
                f"{n} of {result.rows} values of the time column {column!r} cannot be read as "
                f"{unit} (row {row}: {value!r}): set ts_unit or mend the rows{setting}"
            )


def _check_json_columns(con: Any, source: Source, config: PrepareConfig) -> None:
    """A mapped name that no object has is a mistake, as a missing column of a table is."""
    names = config.columns
    mapped = {"session_id": names.session_id, "item_id": names.item_id, "ts": names.ts}
    mapped |= {ours: c for ours, c in (("type", names.type), ("seq", names.seq)) if c}
    mapped |= {f"f{n}": column for n, column in enumerate(names.features.values())}
    counts = con.execute(f"SELECT {', '.join(f'count({c})' for c in mapped)} FROM raw").fetchall()[
        0
    ]
    absent = [column for column, n in zip(mapped.values(), counts, strict=True) if n == 0]
    if not absent:
        return
    part = next(read_parts(con, source, config.csv_layout, []))
    keys = con.execute(
        f"SELECT DISTINCT unnest(json_keys(json)) AS k FROM (SELECT json FROM {part.relation} "
        f"WHERE NOT {part.malformed} LIMIT 10000) ORDER BY k"
    ).fetchall()
    present = [k for (k,) in keys]
    missing = [column for column in absent if column not in present]
    if missing:
        raise missing_columns(source.files[0], missing, present)


def _example(con: Any, source: Source) -> str:
    if source.format == "csv":
        line, message = con.execute(
            "SELECT line, error_message FROM reject_errors ORDER BY file_id, line LIMIT 1"
        ).fetchall()[0]
        return f"line {line}: {message}"
    row = con.execute("SELECT min(rowid) + 1 FROM raw WHERE malformed").fetchall()[0][0]
    return f"the first is line {row}"


def _names(part: Part) -> str:
    more = f" and {len(part.files) - 1} more" if len(part.files) > 1 else ""
    return f"{part.files[0]}{more}"


def feature_columns(features: tuple[str, ...]) -> str:
    """SQL: the features under their own names, to be put behind other columns."""
    return "".join(f", f{n} AS {identifier(name)}" for n, name in enumerate(features))
