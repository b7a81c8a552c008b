"""Readers of clickstream files: Parquet, CSV and JSON lines, as tables that DuckDB streams.

A source is some files of one format. :func:`read_parts` gives them as SQL relations whose columns
come out as text (numbers and times of Parquet in their own type), so that the same events in any
of the three formats read the same: an id ``007`` keeps its zeros, an integer id is decimal.
"""

from __future__ import annotations

import csv
import glob
import gzip
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from session_rec.errors import DataError

Format = Literal["parquet", "csv", "jsonl"]

_ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
}
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
_INTEGERS |= {f"U{t}" for t in _INTEGERS}
_FLOATS = {"FLOAT", "DOUBLE"}


def literal(text: str) -> str:
    """``text`` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def file_list(files: Iterable[Path]) -> str:
    """``files`` as an SQL list of strings."""
    return "[" + ", ".join(literal(_no_glob(str(f))) for f in files) + "]"


@dataclass(frozen=True)
class Source:
    """Files of one format, in the order in which their rows count as having arrived."""

    format: Format
    files: tuple[Path, ...]

    def describe(self) -> dict[str, Any]:
        """Name, size and sha256 of each file, and a fingerprint of all contents in order.

        The fingerprint does not depend on where the files lie or what they are called.
        """
        files = [
            {"name": f.name, "bytes": f.stat().st_size, "sha256": sha256(f)} for f in self.files
        ]
        whole = hashlib.sha256("".join(f"{f['sha256']}\n" for f in files).encode()).hexdigest()
        return {"format": self.format, "fingerprint": whole, "files": files}


@dataclass(frozen=True)
class CsvLayout:
    """How CSV files are written. ``header`` names the columns of files without a header line."""

    delimiter: str = ","
    quote: str = '"'
    header: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """Some files of one layout.

    Attributes:
        relation: what stands after FROM.
        files: the files it reads.
        columns: our name of a file's column -> (SQL expression, SQL type); None for JSON lines,
            whose columns are known only once all is read.
        malformed: SQL condition that a row is no record at all.
    """

    relation: str
    files: tuple[Path, ...]
    columns: dict[str, tuple[str, str]] | None
    malformed: str = "false"

    def column(self, name: str) -> tuple[str, str]:
        """Expression and type of the file's column ``name``.

        Of JSON lines it is the path into the object, and the type JSON.

        Raises:
            DataError: the files have no such column; the message lists those there.
        """
        if self.columns is None:
            return literal('$."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'), "JSON"
        if name not in self.columns:
            raise missing_columns(self.files[0], [name], self.columns)
        return self.columns[name]


def missing_columns(file: Path, missing: Iterable[str], present: Iterable[str]) -> DataError:
    """The error of a file that lacks mapped columns."""
    names = ", ".join(repr(m) for m in missing)
    return DataError(
        f"{file} has no column {names}; it has {', '.join(present)}: "
        "map the columns in the settings ([columns])"
    )


def text_of(part: Part, name: str) -> str:
    """SQL: the column as VARCHAR; NULL where empty; whole numbers as decimal integers.

    Raises:
        DataError: there is no such column, or it holds lists or the like.
    """
    expression, kind = part.column(name)
    if kind == "JSON":
        # A producer's 12.0 is the integer 12: data frames with gaps write integers so.
        number = _whole(f"TRY_CAST(json ->> {expression} AS DOUBLE)")
        value = (
            f"CASE json_type(json, {expression}) WHEN 'DOUBLE' THEN {number} "
            f"WHEN 'OBJECT' THEN NULL WHEN 'ARRAY' THEN NULL ELSE json ->> {expression} END"
        )
    elif kind in _FLOATS:
        value = _whole(f"CAST({expression} AS DOUBLE)")
    elif kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "BLOB")):
        raise DataError(f"{part.files[0]}: column {name!r} holds {kind}, which is no single value")
    else:
        value = f"CAST({expression} AS VARCHAR)"
    return f"nullif({value}, '')"


def time_of(part: Part, name: str) -> tuple[str, Literal["text", "integer", "timestamp"]]:
    """SQL of a column that holds times, and what it gives: VARCHAR, BIGINT or ms of a TIMESTAMP.

    Raises:
        DataError: there is no such column.
    """
    expression, kind = part.column(name)
    if kind in _INTEGERS:
        return f"TRY_CAST({expression} AS BIGINT)", "integer"
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        zoned = "TZ" in kind or "ZONE" in kind
        stamp = f"CAST({expression} AS {'TIMESTAMPTZ' if zoned else 'TIMESTAMP'})"
        return f"CASE WHEN isfinite({stamp}) THEN {epoch_ms(stamp)} END", "timestamp"
    if kind == "JSON":
        return f"nullif(json ->> {expression}, '')", "text"
    value = f"nullif(CAST({expression} AS VARCHAR), '')"
    return (f"nullif(lower({value}), 'nan')" if kind in _FLOATS else value), "text"


def find_source(where: str, format: Format | None = None) -> Source:
    """The files that ``where`` names: one file, a glob, or a directory (searched to its depths).

    Files of a directory count in the order of their paths; names that begin with ``.`` or ``_``
    are passed over. ``format`` stands in for endings that say nothing.

    Raises:
        DataError: there is no such file, none of a known format, or several formats.
    """
    path = Path(where).expanduser()
    if path.is_dir():
        files = sorted(
            f
            for f in path.rglob("*")
            if f.is_file()
            and not any(p.startswith((".", "_")) for p in f.relative_to(path).parts)
            and (format or _format(f))
        )
    elif path.is_file():
        files = [path]
    else:
        files = sorted(Path(f) for f in glob.glob(str(path), recursive=True) if Path(f).is_file())
    endings = ", ".join(_ENDINGS)
    if not files:
        found = "holds no file" if path.is_dir() else "is not there: give a file, glob or directory"
        raise DataError(f"{where} {found} that ends in one of {endings}")
    formats = {f: format or _format(f) for f in files}
    unknown = next((f for f, known in formats.items() if known is None), None)
    if unknown is not None:
        raise DataError(
            f"{unknown}: cannot tell its format; end its name in one of {endings}, or set format"
        )
    kinds = sorted({str(k) for k in formats.values()})
    if len(kinds) > 1:
        raise DataError(f"{where} holds files of several formats ({', '.join(kinds)}): give a glob")
    return Source(kinds[0], tuple(files))  # type: ignore[arg-type]


def read_parts(con: Any, source: Source, layout: CsvLayout, wanted: list[str]) -> Iterator[Part]:
    """The source as relations of ``con`` (a DuckDB connection), in order of arrival.

    Args:
        wanted: the file's columns that will be asked for; every file must have them (of JSON
            lines that shows only once they are read).

    Raises:
        DataError: a file is unreadable or lacks a column.
    """
    if source.format == "jsonl":
        yield Part(
            f"read_ndjson_objects({file_list(source.files)}, ignore_errors = true)",
            source.files,
            None,
            "coalesce(json_type(json), 'NULL') <> 'OBJECT'",
        )
    elif source.format == "csv":
        headers = [(f, layout.header or _header(f, layout)) for f in source.files]
        for header, same in groupby(headers, key=lambda pair: pair[1]):
            yield _csv_part(tuple(f for f, _ in same), header, layout, wanted)
    else:
        yield _parquet_part(con, source, wanted)


def sha256(file: Path) -> str:
    """sha256 (hex) of a file's content."""
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _parquet_part(con: Any, source: Source, wanted: list[str]) -> Part:
    import duckdb

    for file in source.files:
        try:
            listed = con.execute(
                f"DESCRIBE SELECT * FROM read_parquet({file_list([file])})"
            ).fetchall()
        except duckdb.Error as e:
            raise DataError(f"{file} cannot be read as Parquet: {first_line(e)}") from None
        present = [row[0] for row in listed]
        missing = [w for w in wanted if w not in present]
        if missing:
            raise missing_columns(file, missing, present)
    relation = (
        f"read_parquet({file_list(source.files)}, union_by_name = true, binary_as_string = true, "
        "hive_partitioning = false)"
    )
    rows = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return Part(relation, source.files, {r[0]: (identifier(r[0]), r[1]) for r in rows})


def _csv_part(
    files: tuple[Path, ...], header: tuple[str, ...], layout: CsvLayout, wanted: list[str]
) -> Part:
    missing = [w for w in wanted if w not in header]
    if missing:
        raise missing_columns(files[0], missing, header)
    twice = [w for w in wanted if header.count(w) > 1]
    if twice:
        raise DataError(f"{files[0]} has more than one column {twice[0]!r}: rename one")
    # By place, not by name: DuckDB's names know no case and may not repeat.
    columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(len(header)))
    relation = (
        f"read_csv({file_list(files)}, auto_detect = false, columns = {{{columns}}}, "
        f"header = {'false' if layout.header else 'true'}, delim = {literal(layout.delimiter)}, "
        f"quote = {literal(layout.quote)}, escape = {literal(layout.quote)}, "
        "store_rejects = true, rejects_limit = 0, hive_partitioning = false)"
    )
    return Part(relation, files, {name: (f"c{n}", "VARCHAR") for n, name in enumerate(header)})


def _header(file: Path, layout: CsvLayout) -> tuple[str, ...]:
    opened: Any = gzip.open if file.name.endswith(".gz") else open
    try:
        with opened(file, "rt", encoding="utf-8-sig", newline="") as f:
            rows = csv.reader(f, delimiter=layout.delimiter, quotechar=layout.quote or None)
            names = tuple(next(rows, ()))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{file} cannot be read as CSV: {e}") from None
    if not names:
        raise DataError(f"{file} is empty: the first line of a CSV file names its columns")
    return names


def epoch_ms(stamp: str) -> str:
    """SQL: milliseconds since 1970 of a TIMESTAMP, rounded down; -1 for any time before."""
    # DuckDB's own epoch_ms rounds to the nearest, its integer division towards 0.
    return f"CASE WHEN epoch_us({stamp}) < 0 THEN -1 ELSE epoch_us({stamp}) // 1000 END"


def first_line(error: Exception) -> str:
    """The first line of an engine's error, which says what is wrong."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _whole(number: str) -> str:
    """SQL: a DOUBLE as text, without ``.0``; NULL for NaN."""
    return (
        f"CASE WHEN isnan({number}) THEN NULL "
        f"WHEN abs({number}) < 9e15 AND {number} = trunc({number}) "
        f"THEN CAST(CAST({number} AS BIGINT) AS VARCHAR) ELSE CAST({number} AS VARCHAR) END"
    )


def _format(file: Path) -> Format | None:
    name = file.name.lower()
    return next((f for ending, f in _ENDINGS.items() if name.endswith(ending)), None)


def _no_glob(path: str) -> str:
    """A path that DuckDB takes literally."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
