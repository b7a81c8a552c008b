"""DuckDB as the preparation uses it: within its memory, spilling to disk, and interruptible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from session_rec.errors import ConfigError
from training.prepare.config import Engine

T = TypeVar("T")


@contextmanager
def open_engine(config: Engine, scratch: Path) -> Iterator[Any]:
    """A connection to a database of its own in ``scratch``, where it also spills.

    Raises:
        ConfigError: the work in the block does not fit in the memory limit.
    """
    import duckdb

    settings: dict[str, Any] = {
        "memory_limit": config.memory_limit,
        "temp_directory": str(scratch / "spill"),
        "preserve_insertion_order": True,
    }
    if config.threads:
        settings["threads"] = config.threads
    con = duckdb.connect(str(scratch / "work.duckdb"), config=settings)
    try:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SET enable_progress_bar = false")  # it would write to standard output
        yield con
    except duckdb.OutOfMemoryException:
        raise ConfigError(
            f"the preparation does not fit in engine.memory_limit = {config.memory_limit!r}: "
            "raise it, or set engine.threads = 1"
        ) from None
    finally:
        con.close()


def interruptible(con: Any, work: Callable[[], T]) -> T:
    """What ``work()``, which runs queries on ``con``, returns; Ctrl-C stops it soon.

    A thread that waits for a query sees no signal before the query ends, so the work runs in
    another one. A sort that is being streamed still ends first. No thread is left behind.
    """
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            # Again and again: between two queries there is nothing to interrupt.
            while not future.done():
                con.interrupt()
                wait([future], 0.1)
            raise
