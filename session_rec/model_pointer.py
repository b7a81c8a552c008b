"""Which model of a store serves: one small file, ``current.json``, replaced whole by a rename.

It holds the models that were promoted before as well: there is no second file that a crash could
leave behind it. Whoever changes it holds a lock on ``.lock`` meanwhile, which the kernel gives back
when that process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from session_rec.errors import BundleError
from session_rec.files import write_file

POINTER = "current.json"
_LOCK = ".lock"
_FORMAT = 1
_MAX_BYTES = 2**20

#: Models that the pointer remembers; older ones are forgotten, their directories stay.
KEPT = 50


class Release(msgspec.Struct, frozen=True):
    """A model that was promoted.

    Attributes:
        name: its directory in the store.
        fingerprint: 16 hex digits, so that another model under this name is not taken for it.

    >>> Release("monday", "8d8551edc5255286")
    Release(name='monday', fingerprint='8d8551edc5255286')
    """

    name: str
    fingerprint: str


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``current.json`` says.

    Attributes:
        format: of this file.
        revision: grows with every change; promoting the same model again is a change.
        rolled_back: the last change was a rollback.
        history: the promoted models, oldest first; the last one is current.

    >>> pointer = Pointer(1, 7, False, [Release("monday", "8d85"), Release("tuesday", "0c1a")])
    >>> pointer.current.name, pointer.previous.name
    ('tuesday', 'monday')
    """

    format: int
    revision: int
    rolled_back: bool
    history: list[Release]

    @property
    def current(self) -> Release:
        """The model that shall serve."""
        return self.history[-1]

    @property
    def previous(self) -> Release | None:
        """The model that a rollback goes to."""
        return self.history[-2] if len(self.history) > 1 else None

    def then(self, release: Release) -> Pointer:
        """What the file says once ``release`` was promoted.

        >>> monday, tuesday = Release("monday", "8d85"), Release("tuesday", "0c1a")
        >>> pointer = first_pointer(monday).then(tuesday).then(tuesday)
        >>> pointer.revision, [r.name for r in pointer.history]
        (3, ['monday', 'tuesday'])
        """
        again = self.current == release
        history = self.history if again else [*self.history, release][-KEPT:]
        return Pointer(_FORMAT, self.revision + 1, False, history)

    def back(self) -> Pointer:
        """What it says once the current model was taken back; there is one before it."""
        return Pointer(_FORMAT, self.revision + 1, True, self.history[:-1])


def first_pointer(release: Release) -> Pointer:
    """What the file says once the first model was promoted.

    >>> first_pointer(Release("monday", "8d85")).revision
    1
    """
    return Pointer(_FORMAT, 1, False, [release])


def read_pointer(store: Path) -> Pointer | None:
    """What ``current.json`` in ``store`` says; None where it is not there.

    Raises:
        BundleError: it is not such a file.

    >>> import tempfile
    >>> store = Path(tempfile.mkdtemp())
    >>> read_pointer(store) is None
    True
    >>> write_pointer(store, first_pointer(Release("monday", "8d85")))
    >>> read_pointer(store).current.name
    'monday'
    """
    path = store / POINTER
    try:
        with path.open("rb") as f:
            data = f.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise BundleError(
            f"{path} cannot be read ({e.strerror}): look at its permissions"
        ) from None
    try:
        pointer = msgspec.json.decode(data, type=Pointer)
        if pointer.format != _FORMAT or not pointer.history:
            raise ValueError(f"format {pointer.format}, {len(pointer.history)} models")
        for release in pointer.history:
            # A name from a file must not lead out of the store.
            if release.name.startswith(".") or Path(release.name).name != release.name:
                raise ValueError(f"{release.name!r} is not the name of a model in it")
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as e:
        raise BundleError(
            f"{path} does not point at a model ({e}): remove it and promote a model again"
        ) from None
    return pointer


def write_pointer(store: Path, pointer: Pointer) -> None:
    """Replaces ``current.json`` in ``store``; for who holds the lock (:func:`locked`).

    Raises:
        DataError: it cannot be written.

    >>> import tempfile
    >>> store = Path(tempfile.mkdtemp())
    >>> with locked(store):
    ...     write_pointer(store, first_pointer(Release("monday", "8d85")))
    >>> sorted(path.name for path in store.iterdir())
    ['.lock', 'current.json']
    """
    data = msgspec.json.format(msgspec.json.encode(pointer), indent=2) + b"\n"
    write_file(store / POINTER, data)
    # The rename itself shall survive a loss of power too: what was said is then so.
    fd = os.open(store, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keeps others from changing the pointer; waits for who is at it.

    Raises:
        BundleError: the lock file cannot be opened.

    >>> import tempfile
    >>> with locked(Path(tempfile.mkdtemp())):
    ...     pass
    """
    path = store / _LOCK
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as e:
        raise BundleError(
            f"{path} cannot be opened ({e.strerror}): who promotes a model must be able to write "
            "to its store"
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
