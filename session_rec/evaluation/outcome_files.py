"""Outcomes as Parquet files: a row per question, the header as JSON in the file's metadata."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from session_rec.catalog import UNKNOWN
from session_rec.errors import DataError
from session_rec.evaluation.evaluate import SLATE
from session_rec.evaluation.metrics import NOT_RANKED
from session_rec.evaluation.outcome_columns import codes_by_appearance
from session_rec.evaluation.outcomes import FORMAT, Outcomes, OutcomesHeader
from session_rec.evaluation.protocol import Protocol
from session_rec.files import write_file

#: Where the header stands in the file's key-value metadata.
KEY = "session_rec_outcomes"

#: Every column of a file and its type.
COLUMNS = {
    "session_id": "VARCHAR",
    "position": "INTEGER",
    "ts": "BIGINT",
    "type": "VARCHAR",
    "context_length": "INTEGER",
    "unknown_items": "INTEGER",
    "item": "VARCHAR",
    "target": "VARCHAR",
    "target_known": "BOOLEAN",
    "target_popularity": "INTEGER",
    "target_repeated": "BOOLEAN",
    "fallback": "BOOLEAN",
    "rank": "BIGINT",
    "slate": "VARCHAR[]",
    "slate_popularity": "FLOAT",
    "score": "FLOAT",
    "confidence": "FLOAT",
}


def save(outcomes: Outcomes, path: Path) -> None:
    """Writes ``outcomes`` to ``path``, whole or not at all.

    Raises:
        DataError: it cannot be written.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> path = Path(tempfile.mkdtemp()) / "toy.parquet"
    >>> save(toy_outcomes(toy_recommender("pear plum pear"), "plum pear plum"), path)
    >>> read(path).rank
    array([1, 2])
    """
    slates = outcomes.slate_ids
    table = outcomes.columns() | {f"slate_{i}": slates[:, i] for i in range(SLATE)}
    slate = (
        f"list_filter([{', '.join(f'slate_{i}' for i in range(SLATE))}], lambda i: i IS NOT NULL)"
    )
    select = ", ".join(
        f"CAST({slate if name == 'slate' else name} AS {kind}) AS {name}"
        for name, kind in COLUMNS.items()
    )
    header = msgspec.json.encode(outcomes.header, order="sorted").decode().replace("'", "''")
    with tempfile.TemporaryDirectory() as tmp:
        file = Path(tmp) / "outcomes.parquet"
        with _connection() as con:
            con.register("outcome_columns", table)
            con.execute(
                f"COPY (SELECT {select} FROM outcome_columns) TO '{file}' "
                f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{KEY}: '{header}'}})"
            )
        write_file(path, file.read_bytes())


def find_file(path: Path) -> Path:
    """``path`` itself, or the one outcomes file of a directory.

    Raises:
        DataError: the directory holds none, or several.

    >>> directory = Path(tempfile.mkdtemp())
    >>> (directory / "mine.parquet").touch()
    >>> find_file(directory).name, find_file(directory / "mine.parquet").name
    ('mine.parquet', 'mine.parquet')
    """
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.parquet"))
    if len(found) != 1:
        held = ", ".join(f.name for f in found) or "none"
        raise DataError(f"{path} holds {held}: give one outcomes file of it")
    return found[0]


def read_header(path: Path) -> OutcomesHeader:
    """The header of the file ``path``; its rows are not looked at.

    Raises:
        DataError: the file is missing, damaged, of another version, or none of ours.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> path = Path(tempfile.mkdtemp()) / "toy.parquet"
    >>> save(toy_outcomes(toy_recommender("pear plum"), "pear plum"), path)
    >>> read_header(path).model, read_header(path).protocol.questions
    ('toy', 1)
    """
    with _connection() as con:
        return _header(con, path)


def _header(con: Any, path: Path) -> OutcomesHeader:
    import duckdb

    if not path.is_file():
        raise DataError(f"{path} is not there: give a file that 'evaluate --save' wrote")
    try:
        found = con.execute(
            "SELECT value FROM parquet_kv_metadata(?) WHERE key = ?", [str(path), KEY.encode()]
        ).fetchall()
    except duckdb.Error as e:
        raise _damaged(path, e) from None
    if len(found) != 1:
        raise DataError(
            f"{path} holds no outcomes of an evaluation: give a file that 'evaluate --save' wrote"
        )
    try:
        version = msgspec.json.decode(found[0][0], type=dict).get("format")
        if version != FORMAT:
            raise DataError(
                f"{path} has format {version!r}, this version reads {FORMAT}: evaluate again"
            )
        return msgspec.json.decode(found[0][0], type=OutcomesHeader)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise _damaged(path, e) from None


def check_replaceable(path: Path, fingerprint: str, protocol: Protocol) -> None:
    """Refuses to write the outcomes of a model over those of another, or of other questions.

    Raises:
        DataError: ``path`` is there and holds something else.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> outcomes = toy_outcomes(toy_recommender("pear plum"), "pear plum")
    >>> path = Path(tempfile.mkdtemp()) / "toy.parquet"
    >>> save(outcomes, path)
    >>> check_replaceable(path, outcomes.header.fingerprint, outcomes.header.protocol)
    >>> check_replaceable(path, "0123456789abcdef", outcomes.header.protocol)
    Traceback (most recent call last):
    session_rec.errors.DataError: ...toy.parquet holds the outcomes of another model ...
    """
    if not path.exists():
        return
    header = read_header(path)
    if header.fingerprint != fingerprint:
        raise DataError(
            f"{path} holds the outcomes of another model of that name ({header.fingerprint}, "
            f"this is {fingerprint}): choose another directory or give --replace"
        )
    if header.protocol != protocol:
        raise DataError(
            f"{path} holds the outcomes of the same model on other questions: "
            "choose another directory or give --replace"
        )


def read(path: Path) -> Outcomes:
    """The outcomes in the file ``path``.

    Raises:
        DataError: the file is missing, damaged, of another version, or none of ours.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> outcomes = toy_outcomes(toy_recommender("pear plum"), "pear plum")
    >>> path = Path(tempfile.mkdtemp()) / "toy.parquet"
    >>> save(outcomes, path)
    >>> read(path).header == outcomes.header
    True
    """
    import duckdb

    wanted = [
        f"CAST({name} AS {kind}) AS {name}" for name, kind in COLUMNS.items() if name != "slate"
    ] + [f"slate[{i + 1}] AS slate_{i}" for i in range(SLATE)]
    with _connection() as con:
        header = _header(con, path)
        try:
            t = con.read_parquet(str(path)).project(", ".join(wanted)).fetchnumpy()
        except duckdb.Error as e:
            raise _damaged(path, e) from None
    session_ids, session = _coded([t["session_id"]])
    type_names, types = _coded([t["type"]])
    item_ids, items = _coded([t["item"], t["target"], *(t[f"slate_{i}"] for i in range(SLATE))])
    outcomes = Outcomes(
        header,
        session_ids,
        session[:, 0],
        _filled(t["position"]),
        _filled(t["ts"]),
        type_names,
        types[:, 0].astype(np.int16),
        _filled(t["context_length"]),
        _filled(t["unknown_items"]),
        item_ids,
        items[:, 0].astype(np.int32),
        items[:, 1].astype(np.int32),
        _filled(t["target_known"]),
        _filled(t["target_popularity"], UNKNOWN),
        _filled(t["target_repeated"]),
        _filled(t["fallback"]),
        _filled(t["rank"], NOT_RANKED),
        np.ascontiguousarray(items[:, 2:], np.int32),
        _filled(t["slate_popularity"]),
        _filled(t["score"]),
        _filled(t["confidence"]),
    )
    if outcomes.content_hash() != header.content:
        raise DataError(f"{path} was changed: it does not match its hash; evaluate again")
    return outcomes


def _connection() -> Any:
    import duckdb

    con = duckdb.connect(config={"threads": 1})
    con.execute("SET enable_progress_bar = false")
    return con


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is damaged or no outcomes file: {str(error).splitlines()[0]}")


def _filled(column: Any, missing: int = 0) -> NDArray[Any]:
    return np.ma.filled(column, missing)  # type: ignore[no-any-return, no-untyped-call]


def _coded(columns: list[Any]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The distinct words, row by row, and codes int64 [Q, len(columns)]; -1 where missing."""
    known: dict[str | None, int] = {None: -1}
    codes = np.empty((len(columns[0]), len(columns)), np.int64)
    for c, column in enumerate(columns):
        # A masked element of an object array comes out of tolist() as None.
        codes[:, c] = [known.setdefault(w, len(known) - 1) for w in column.tolist()]
    names = list(known)[1:]
    order, codes = codes_by_appearance(codes)
    return tuple(str(names[i]) for i in order.tolist()), codes
