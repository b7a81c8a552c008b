"""Applies one deliberate bug at a time to a copy of the sources, and sees that the tests turn red.

``make mutants`` runs all of ``mutants.toml``; ``python tests/mutants/run.py gap late`` those whose
name holds one of the words. Exit code 1 if a bug goes unnoticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("mutants.toml")
_COPIED = (
    "session_rec", "streaming", "training", "tests", "benchmarks", "configs", "docs",
    "pyproject.toml", "README.md", "Makefile",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A one-line bug.

    Attributes:
        name: what is wrong.
        file: the source file, from the root of the repository.
        before, after: the text that is replaced, once in the file, and what replaces it.
        tests: paths of the tests that must notice.
    """

    name: str
    file: str
    before: str
    after: str
    tests: list[str]

    def apply(self, root: Path) -> None:
        """Writes the bug into the sources under ``root``."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.before) != 1:
            raise ValueError(f"{self.name}: {self.before!r} is not once in {self.file}")
        path.write_text(text.replace(self.before, self.after))


def read_mutants() -> list[Mutant]:
    """Every mutant of the table."""
    return [Mutant(**entry) for entry in tomllib.loads(TABLE.read_text())["mutant"]]


def first_failure(mutant: Mutant) -> tuple[str | None, float]:
    """The first test that fails with the bug, None if all pass; and the seconds it took."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "session-rec"
        root.mkdir()
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root / name)
        # Tests find what lies beside the repository, such as a real broker, from its root.
        for neighbour in ROOT.parent.iterdir():
            if neighbour != ROOT and not (Path(scratch) / neighbour.name).exists():
                (Path(scratch) / neighbour.name).symlink_to(neighbour)
        mutant.apply(root)
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-m", "not soak", "-p", "no:cacheprovider",
             "--hypothesis-profile", "no-shrinking", "--tb=no", "-rfE", *mutant.tests],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
        )  # fmt: skip
        seconds = time.perf_counter() - begin
        failed = [
            line.split(" ", 1)[1].partition(" - ")[0]
            for line in done.stdout.splitlines()
            if line.startswith(("FAILED ", "ERROR "))
        ]
        if done.returncode not in (0, 1) or (done.returncode == 1) != bool(failed):
            raise RuntimeError(f"{mutant.name}: pytest ended with {done.returncode}\n{done.stdout}")
        return (failed[0] if failed else None), seconds


def main(words: list[str]) -> int:
    """Runs the mutants whose name holds one of ``words``, or all; 1 if one survives."""
    chosen = [m for m in read_mutants() if not words or any(w in m.name for w in words)]
    table = Table(title="deliberate bugs")
    for column in ("bug", "file", "noticed by", "s"):
        table.add_column(column, justify="right" if column == "s" else "left", overflow="fold")
    survivors = 0
    console = Console(width=150)
    for mutant in chosen:
        noticed, seconds = first_failure(mutant)
        survivors += noticed is None
        console.print(f"{'red ' if noticed else 'GREEN'} {mutant.name} ({seconds:.0f} s)")
        table.add_row(mutant.name, mutant.file, noticed or "NOBODY", f"{seconds:.0f}")
    console.print(table)
    console.print(f"{len(chosen) - survivors} of {len(chosen)} bugs noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
