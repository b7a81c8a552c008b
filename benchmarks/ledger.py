"""Every reading of a test split, one JSON line each, committed: who tunes on test is seen."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from session_rec.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
LEDGER = ROOT / "benchmarks" / "ledger.jsonl"

#: What decides a result; other files may be in the making while a benchmark runs.
_SOURCES = ("session_rec", "training", "benchmarks/*.py", "benchmarks/levers", "pyproject.toml")


class Reads(NamedTuple):
    """How often a test split was read.

    Attributes:
        recipe: by this recipe, with any seed.
        kind: by all recipes of its model kind.
    """

    recipe: int
    kind: int


def append(row: Mapping[str, Any], path: Path | None = None) -> None:
    """Adds a result; ``row`` holds :func:`commit` as it was when the program was started.

    One write of one line, so that two runs at once do not mix.
    """
    path = path or LEDGER
    line = msgspec.json.encode(row) + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as f:
        f.write(line)


def read(path: Path | None = None) -> list[dict[str, Any]]:
    """All results, oldest first.

    Raises:
        DataError: a line is not JSON.
    """
    path = path or LEDGER
    if not path.is_file():
        return []
    entries = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entries.append(msgspec.json.decode(line, type=dict[str, Any]))
        except msgspec.DecodeError:
            raise DataError(f"{path}, line {number}, is not JSON: restore it from git") from None
    return entries


def reads(data_fingerprint: str, kind: str, config_hash: str, path: Path | None = None) -> Reads:
    """How often the test split of this data was read so far."""
    of_kind = [
        e for e in read(path) if e["data_fingerprint"] == data_fingerprint and e["kind"] == kind
    ]
    return Reads(sum(e["config_hash"] == config_hash for e in of_kind), len(of_kind))


def commit() -> dict[str, Any]:
    """``commit`` of this checkout; ``dirty`` says that sources differ from it."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", *_SOURCES)),
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""  # not a checkout: the row stands without a commit
    return done.stdout.strip()
