"""Files and directories that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from session_rec.errors import DataError


@contextmanager
def new_directory(target: Path, replace: bool = False) -> Iterator[Path]:
    """A temporary directory beside ``target`` that takes its name when the block ends well.

    With ``replace`` an existing directory gives way at the end; else it is an error at once.

    Raises:
        DataError: ``target`` is there and ``replace`` is not set, or cannot be made.

    >>> target = Path(tempfile.mkdtemp()) / "model"
    >>> with new_directory(target) as directory:
    ...     _ = (directory / "weights").write_bytes(b"1")
    ...     target.exists()
    False
    >>> [file.name for file in target.iterdir()]
    ['weights']
    """
    if target.exists() and not replace:
        raise DataError(f"{target} is already there: choose another directory or remove it")
    with _told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        tmp = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
        tmp.chmod(0o755)
    try:
        yield tmp
        if target.exists():
            old = Path(
                tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent)
            )
            os.rename(target, old / target.name)
            os.rename(tmp, target)
            shutil.rmtree(old)
        else:
            os.rename(tmp, target)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def write_file(target: Path, data: bytes) -> None:
    """Writes ``data`` to ``target`` under a temporary name, then renames.

    Raises:
        DataError: it cannot be written.

    >>> target = Path(tempfile.mkdtemp()) / "runs" / "figures.json"
    >>> write_file(target, b"{}")
    >>> target.read_bytes()
    b'{}'
    """
    with _told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        try:
            with os.fdopen(fd, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            os.chmod(name, 0o644)
            os.rename(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def check_writable(target: Path) -> None:
    """Makes the directory of the file ``target`` and tries it: better told now than after an hour.

    Raises:
        DataError: no file can be written there.

    >>> check_writable(Path(tempfile.mkdtemp()) / "runs" / "figures.json")
    """
    with _told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """Says in a sentence that ``target`` cannot be written."""
    try:
        yield
    except OSError as e:
        raise DataError(
            f"{target} cannot be written ({e.strerror}): choose another place"
        ) from None
