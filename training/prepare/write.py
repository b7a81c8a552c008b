"""The files of a prepared clickstream, written by the engine in one fixed order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from session_rec.errors import DataError
from training.prepare.clean import SPLITS
from training.prepare.config import CatalogSource, PrepareConfig
from training.prepare.ingest import feature_columns
from training.sources import (
    file_list,
    find_source,
    first_line,
    identifier,
    literal,
    read_parts,
    text_of,
)

# One thread writes, so that row groups do not depend on the number of cores.
_COPY = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"


def write_split(con: Any, part: int, features: tuple[str, ...], directory: Path) -> dict[str, Any]:
    """Writes ``train.parquet``, ``validation.parquet`` or ``test.parquet``; returns its counts.

    Columns: session_id, item_id, type and the features VARCHAR, ts (ms) and seq BIGINT. Events of
    a session id lie together in the order of the rules, ids in the order of their first events.
    """
    rows = f"SELECT c.* FROM cut c JOIN kept k USING (pos) WHERE k.part = {part}"
    _copy(
        con,
        f"""WITH chosen AS ({rows}),
        first_events AS (
            SELECT session, min_by(ts, pos) AS first_ts, min_by(arrival, pos) AS first_arrival
            FROM chosen GROUP BY session)
        SELECT e.session_id, e.item_id, e.ts, e.type, e.seq{feature_columns(features)}
        FROM chosen e JOIN first_events f USING (session)
        ORDER BY f.first_ts, f.first_arrival, e.pos""",
        directory / f"{SPLITS[part]}.parquet",
    )
    row = con.execute(
        f"""SELECT count(*), count(DISTINCT session), count(DISTINCT item_id), min(ts), max(ts)
        FROM ({rows})"""
    ).fetchall()[0]
    (visits,) = con.execute(
        f"SELECT count(DISTINCT visit) FROM kept WHERE part = {part}"
    ).fetchall()[0]
    (unknown,) = con.execute(
        f"""SELECT count(*) FROM kept WHERE part = {part}
        AND item_id NOT IN (SELECT item_id FROM kept WHERE part = 0)"""
    ).fetchall()[0]
    names = ("events", "session_ids", "items", "first_ts", "last_ts")
    return {
        **dict(zip(names, row, strict=True)),
        "sessions": visits,
        "events_of_items_not_in_train": unknown,
    }


def write_catalog(con: Any, config: PrepareConfig, target: Path) -> dict[str, Any]:
    """Writes the catalog's columns ``item_id`` and the features, by id; returns counts.

    Of rows with the same id the first counts. Raises DataError where the file cannot be used.
    """
    import duckdb

    assert config.catalog is not None
    catalog = config.catalog
    source = find_source(catalog.input)
    wanted = [catalog.item_id, *catalog.features.values()]
    rejected = 0
    for n, part in enumerate(read_parts(con, source, config.csv_layout, wanted)):
        values = [f"{text_of(part, catalog.item_id)} AS item_id"]
        values += [f"{text_of(part, c)} AS f{i}" for i, c in enumerate(catalog.features.values())]
        begin = "CREATE TABLE items AS" if n == 0 else "INSERT INTO items"
        try:
            con.execute(f"{begin} SELECT {', '.join(values)} FROM {part.relation}")
        except (duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise
        except duckdb.Error as e:
            raise DataError(
                f"{part.files[0]} cannot be read as {source.format}: {first_line(e)}"
            ) from None
    _check_catalog(con, catalog)
    (rows,) = con.execute("SELECT count(*) FROM items").fetchall()[0]
    features = "".join(
        f", {f'CAST(f{n} AS DOUBLE)' if name in catalog.numbers else f'f{n}'} AS {identifier(name)}"
        for n, name in enumerate(catalog.features)
    )
    _copy(
        con,
        f"""SELECT item_id{features} FROM (
            SELECT *, row_number() OVER (PARTITION BY item_id ORDER BY rowid) AS place
            FROM items WHERE item_id IS NOT NULL) first_rows
        WHERE place = 1 ORDER BY item_id""",
        target,
    )
    (items,) = con.execute(f"SELECT count(*) FROM read_parquet({file_list([target])})").fetchall()[
        0
    ]
    (missing,) = con.execute(
        f"""SELECT count(DISTINCT item_id) FROM kept WHERE part = 0 AND item_id NOT IN (
            SELECT item_id FROM read_parquet({file_list([target])}))"""
    ).fetchall()[0]
    return {
        "input": source.describe(),
        "rows": rows + rejected,
        "items": items,
        "rows_dropped": rows - items,
        "train_items_not_in_catalog": missing,
    }


def _check_catalog(con: Any, catalog: CatalogSource) -> None:
    columns = [("item_id", catalog.item_id)]
    columns += [(f"f{n}", column) for n, column in enumerate(catalog.features.values())]
    counts = con.execute(
        f"SELECT {', '.join(f'count({c})' for c, _ in columns)} FROM items"
    ).fetchall()[0]
    for (_, column), found in zip(columns, counts, strict=True):
        if found == 0:
            raise DataError(f"{catalog.input}: column {column!r} is missing or empty")
    for n, name in enumerate(catalog.features):
        if name in catalog.numbers:
            bad = con.execute(
                f"SELECT item_id, f{n} FROM items WHERE f{n} IS NOT NULL "
                f"AND NOT coalesce(isfinite(TRY_CAST(f{n} AS DOUBLE)), false) LIMIT 1"
            ).fetchall()
            if bad:
                item, value = bad[0]
                raise DataError(
                    f"{catalog.input}: {name} of item {item!r} is {value!r}, which is no "
                    "number: mend it, or take the feature out of catalog.numbers"
                )


def _copy(con: Any, query: str, target: Path) -> None:
    threads = con.execute("SELECT current_setting('threads')").fetchall()[0][0]
    con.execute("CREATE OR REPLACE TABLE ordered AS " + query)
    con.execute("SET threads = 1")
    con.execute(f"COPY ordered TO {literal(str(target))} {_COPY}")
    con.execute(f"SET threads = {threads}")
    con.execute("DROP TABLE ordered")
