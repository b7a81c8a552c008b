"""Names that tell models apart, from where their directories are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from session_rec.errors import DataError


def distinct_names(directories: Sequence[Path]) -> list[str]:
    """A name for each model: its directory's, with as many parents before it as tell it apart.

    Raises:
        DataError: one directory is given twice.

    >>> distinct_names([Path("a/mine"), Path("b/mine"), Path("b/other")])
    ['a/mine', 'b/mine', 'other']
    """
    parts = [path.resolve().parts[1:] for path in directories]
    twice = [d for d, times in zip(directories, map(parts.count, parts), strict=True) if times > 1]
    if twice:
        raise DataError(f"{twice[0]} is given twice: give each once")
    depth = [1] * len(parts)
    while True:
        names = ["/".join(p[-d:]) for p, d in zip(parts, depth, strict=True)]
        times = Counter(names)
        if max(times.values(), default=1) == 1:
            return names
        depth = [d + (times[n] > 1) for d, n in zip(depth, names, strict=True)]


def outcome_files(directory: Path, names: Sequence[str]) -> list[Path]:
    """The file in ``directory`` for the outcomes of each model of :func:`distinct_names`.

    Raises:
        DataError: two names would share a file.

    >>> [path.as_posix() for path in outcome_files(Path("out"), ["a/mine", "other"])]
    ['out/a--mine.parquet', 'out/other.parquet']
    """
    files = [directory / (name.replace("/", "--") + ".parquet") for name in names]
    for name, file in zip(names, files, strict=True):
        if files.count(file) > 1:
            raise DataError(f"{file} would hold two models, one is {name}: rename its directory")
    return files
