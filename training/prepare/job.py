"""The whole preparation, from files to files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from session_rec.console import progress_bar, write_json
from session_rec.errors import DataError
from session_rec.files import new_directory
from training.prepare.clean import SPLITS, Cleaning, clean, split_by_time
from training.prepare.config import PrepareConfig
from training.prepare.cut import cut_events
from training.prepare.engine import interruptible, open_engine
from training.prepare.ingest import Ingested, ingest
from training.prepare.report import DUPLICATES, Report
from training.prepare.write import write_catalog, write_split
from training.sources import Source, file_list, find_source


def prepare(config: PrepareConfig, out: Path, replace: bool = False) -> Report:
    """Writes the sessions of ``config.input`` into the new directory ``out``.

    ``train.parquet``, ``validation.parquet``, ``test.parquet``, ``prepare.json`` and, if one is
    given, ``catalog.parquet``. The same input and settings give the same bytes. The log is never
    in memory as a whole; it passes through a temporary database beside ``out``.

    Raises:
        UserError: the input or the settings cannot be used; nothing is written then.
    """
    source = find_source(config.input, config.format)
    if config.catalog:
        find_source(config.catalog.input)
    with new_directory(out, replace=replace) as directory:
        described = source.describe()
        scratch = directory / "scratch"
        scratch.mkdir()
        with open_engine(config.engine, scratch) as con:
            report = interruptible(
                con, lambda: _run(con, config, source, described, directory, scratch)
            )
        shutil.rmtree(scratch)
        write_json(directory / "prepare.json", report.to_dict())
    return report


def _run(
    con: Any,
    config: PrepareConfig,
    source: Source,
    described: dict[str, Any],
    directory: Path,
    scratch: Path,
) -> Report:
    with progress_bar("read", None):
        read = ingest(con, source, config)
    file = scratch / "cut.parquet"
    with progress_bar("cut into sessions", read.events) as advance:
        duplicates = cut_events(con, config.rules, file, advance)
    con.execute("DROP VIEW events; DROP VIEW judged; DROP VIEW typed; DROP TABLE raw")
    con.execute(f"CREATE VIEW cut AS SELECT * FROM read_parquet({file_list([file])})")
    splits, catalog = {}, None
    with progress_bar("clean and write", 6) as advance:
        made = split_by_time(con, config)
        advance()
        cleaning = clean(con, config, scratch)
        _check_left(con, read, made, cleaning, config)
        advance()
        for part, name in enumerate(SPLITS):
            splits[name] = write_split(con, part, read.features, directory)
            advance()
        if config.catalog:
            catalog = write_catalog(con, config, directory / "catalog.parquet")
        advance()
    return Report(
        config=config.to_dict(),
        rules=config.rules,
        source=described,
        time=read.time,
        rows=read.rows,
        dropped_rows={**read.dropped, DUPLICATES: duplicates},
        sessions=sum(made.values()),
        dropped={name: (d.events, d.visits) for name, d in cleaning.drops.items()},
        sessions_split=cleaning.visits_split,
        passes=cleaning.passes,
        splits=splits,
        catalog=catalog,
        notes=tuple(_notes(config, read, made, cleaning, splits, catalog)),
    )


def _check_left(
    con: Any, read: Ingested, made: dict[str, int], cleaning: Cleaning, config: PrepareConfig
) -> None:
    (left,) = con.execute("SELECT count(*) FROM kept WHERE part = 0").fetchall()[0]
    if left:
        return
    name, drop = max(cleaning.drops.items(), key=lambda item: item[1].events)
    raise DataError(
        f"{config.input}: of {made['train'] + made['validation']} sessions none is left for "
        f"training; the filter {name!r} dropped most ({drop.events} of {read.events} events): "
        "loosen it"
    )


def _notes(
    config: PrepareConfig,
    read: Ingested,
    made: dict[str, int],
    cleaning: Cleaning,
    splits: dict[str, dict[str, Any]],
    catalog: dict[str, Any] | None,
) -> Iterator[str]:
    if read.time.detected:
        yield (
            f"Times in {config.columns.ts!r} were taken for {read.time.words}, as "
            f"{read.time.votes:,} of {read.rows:,} values look like it (ts_unit sets it)."
        )
    if not cleaning.settled:
        yield (
            f"The support and length filters stopped after max_passes = {config.max_passes}; "
            "another pass would drop more."
        )
    for name in ("test", "validation"):
        if config.split.by_days and made[name] * 1000 < sum(made.values()) and made[name]:
            yield (
                f"The {name} split holds {made[name]} of {sum(made.values())} sessions only: "
                "if the newest events have a wrong clock, set end."
            )
    for name, counts in splits.items():
        if counts["events"] == 0:
            yield f"The {name} split is empty."
    if catalog and catalog["train_items_not_in_catalog"]:
        yield f"{catalog['train_items_not_in_catalog']:,} training items are not in the catalog."
