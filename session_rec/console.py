"""How jobs talk to a person: one console, progress bars, tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from session_rec.files import write_file

#: Results go to standard output, everything said along the way to standard error.
out = Console()
err = Console(stderr=True)


@contextmanager
def progress_bar(title: str, total: int | None) -> Iterator[Any]:
    """A bar on standard error; yields a function that takes the number of steps just done.

    >>> with progress_bar("read clicks", total=5) as advance:
    ...     for batch in ([1, 2, 3], [4, 5]):
    ...         advance(len(batch))
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=not err.is_terminal,
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps=1: bar.advance(task, steps)


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, whole or not at all.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "figures.json"
    >>> write_json(path, {"hr@20": 0.5})
    >>> print(path.read_text("utf-8"), end="")
    {
      "hr@20": 0.5
    }
    """
    write_file(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
