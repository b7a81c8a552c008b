"""A model store: a directory of models, and a pointer to the one that serves.

Each model is a directory as ``session-rec train`` writes it, a child of the store. The pointer is a
file beside them (:mod:`session_rec.model_pointer`). Nothing is pointed at that did not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from session_rec.errors import BundleError
from session_rec.manifest import MANIFEST, Manifest, fingerprint, read_manifest
from session_rec.model_pointer import (
    POINTER,
    Pointer,
    Release,
    first_pointer,
    locked,
    read_pointer,
    write_pointer,
)
from session_rec.policy import SHOW_ALL, Policy
from session_rec.probe import BATCH_SIZES, load_probed
from session_rec.recommender import Recommender

#: Shortest beginning of a fingerprint that names a model.
_SHORTEST = 6


class StoredModel(msgspec.Struct, frozen=True):
    """A model of the store as its manifest tells, its files not verified.

    Attributes:
        name: its directory in the store.
        current, previous: whether it serves, and whether a rollback goes to it.
        problem: why it cannot be promoted, a sentence; the rest is then empty.
        fingerprint, kind, items, data_fingerprint: as in the manifest.
        written: when its manifest was, ISO 8601, UTC; copying a model may change it.
        certificate: what became of its leakage certificate.
        bytes: size of all its files.

    >>> StoredModel("monday", current=True, kind="popularity").kind
    'popularity'
    """

    name: str
    current: bool = False
    previous: bool = False
    problem: str = ""
    fingerprint: str = ""
    kind: str = ""
    items: int = 0
    data_fingerprint: str = ""
    written: str = ""
    certificate: str = ""
    bytes: int = 0


class ModelStore:
    """The models in ``directory`` and the pointer to the one that serves.

    >>> import shutil, tempfile
    >>> from session_rec.toy import toy_directory
    >>> store = ModelStore(Path(tempfile.mkdtemp()))
    >>> for name, clicks in (("monday", "pear plum"), ("tuesday", "fig plum")):
    ...     _ = shutil.copytree(toy_directory(clicks), store.directory / name)
    >>> store.promote("monday")
    Traceback (most recent call last):
    session_rec.errors.BundleError: monday has no leakage certificate: ...
    >>> for name in ("monday", "tuesday"):
    ...     pointer = store.promote(name, uncertified=True)
    >>> pointer.revision, pointer.current.name, pointer.previous.name
    (2, 'tuesday', 'monday')
    >>> store.rollback().current.name
    'monday'
    >>> [(m.name, m.current) for m in store.models()]
    [('monday', True), ('tuesday', False)]
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @staticmethod
    def is_at(directory: Path) -> bool:
        """Whether ``directory`` is a store rather than a model.

        >>> from session_rec.toy import toy_directory
        >>> ModelStore.is_at(toy_directory("pear")), ModelStore.is_at(toy_directory("pear").parent)
        (False, True)
        """
        if (directory / MANIFEST).exists():
            return False
        return (directory / POINTER).exists() or bool(ModelStore(directory)._names())

    def pointer(self) -> Pointer | None:
        """What ``current.json`` says; None before the first promotion.

        Raises:
            BundleError: it is not such a file.
        """
        return read_pointer(self.directory)

    def models(self) -> list[StoredModel]:
        """All models by name, and what the pointer says of them.

        Raises:
            BundleError: the store is not there, or its pointer cannot be read.
        """
        self._check_there()
        pointer = self.pointer()
        current = pointer.current if pointer else None
        previous = pointer.previous if pointer else None
        found = [self._describe(name, current, previous) for name in self._names()]
        if current and current.name not in {model.name for model in found}:
            gone = f"{self.directory / current.name} is not there: it was promoted, bring it back"
            found.append(StoredModel(current.name, True, problem=gone))
        return found

    def find(self, which: str) -> Release:
        """The model of this name, or else of this fingerprint or a beginning of it.

        Raises:
            BundleError: there is none, there are several, or it has no sound manifest.
        """
        self._check_there()
        names = self._names()
        if which in names:
            directory = self.directory / which
            read_manifest(directory)
            return Release(which, fingerprint(directory))
        by_print: dict[str, Release] = {}
        for name in names:
            release = Release(name, fingerprint(self.directory / name))
            if len(which) >= _SHORTEST and release.fingerprint.startswith(which):
                by_print.setdefault(release.fingerprint, release)
        if len(by_print) > 1:
            both = ", ".join(f"{r.name} ({r.fingerprint})" for r in by_print.values())
            raise BundleError(f"{which} begins several fingerprints: {both}; give more digits")
        if not by_print:
            known = ", ".join(names) or "none"
            raise BundleError(f"{self.directory} has no model {which!r}: it holds {known}")
        (release,) = by_print.values()
        read_manifest(self.directory / release.name)
        return release

    def load(
        self,
        release: Release,
        policy: Policy = SHOW_ALL,
        k: int = 20,
        batch_sizes: Sequence[int] = BATCH_SIZES,
    ) -> Recommender:
        """The model, verified and probed.

        Raises:
            BundleError: it is damaged, does not answer, or is another one than was promoted.
        """
        directory = self.directory / release.name
        recommender = load_probed(directory, policy, k, batch_sizes)
        if recommender.fingerprint != release.fingerprint:
            raise BundleError(
                f"{directory} is now {recommender.fingerprint}, {release.fingerprint} was "
                "promoted: promote it again if that is meant"
            )
        return recommender

    def promote(self, which: str, uncertified: bool = False) -> Pointer:
        """Points at the model ``which`` (:meth:`find`) once it is verified and has answered.

        Raises:
            BundleError: it cannot serve; or it has no leakage certificate and ``uncertified`` is
                not set; the pointer stays as it was.
            DataError: the pointer cannot be written.
        """
        release = self.find(which)
        certificate = read_manifest(self.directory / release.name).leakage
        if certificate is msgspec.UNSET and not uncertified:
            raise BundleError(
                f"{release.name} has no leakage certificate: train it with session-rec train, or "
                "promote it with --uncertified"
            )
        if certificate is not msgspec.UNSET and certificate.failed and not uncertified:
            raise BundleError(
                f"{release.name} failed its leakage checks ({', '.join(certificate.failed)}): "
                "train it again, or promote it with --uncertified"
            )
        self.load(release)
        with locked(self.directory):
            before = self.pointer()
            after = before.then(release) if before else first_pointer(release)
            write_pointer(self.directory, after)
        return after

    def rollback(self) -> Pointer:
        """Points at the model before the current one, once it is verified and has answered.

        Raises:
            BundleError: there is none, or it cannot serve; the pointer stays as it was.
            DataError: the pointer cannot be written.
        """
        self._check_there()
        with locked(self.directory):
            before = self.pointer()
            if before is None:
                raise BundleError(
                    f"no model of {self.directory} was promoted yet: there is nothing to go back to"
                )
            if before.previous is None:
                raise BundleError(
                    f"{before.current.name} is the first model that was promoted in "
                    f"{self.directory}: there is none before it; promote another one"
                )
            try:
                self.load(before.previous)
            except BundleError as error:
                raise BundleError(
                    f"the model before {before.current.name} cannot serve: {error}; promote "
                    "another one"
                ) from error
            write_pointer(self.directory, before.back())
        return before.back()

    def rules_differ(self, one: Release, other: Release) -> bool:
        """Whether two models were trained under different session rules.

        False where one of them is not there any more.
        """
        try:
            prints = {
                read_manifest(self.directory / release.name).rules_fingerprint
                for release in (one, other)
            }
        except BundleError:
            return False
        return len(prints) > 1

    def _check_there(self) -> None:
        if (self.directory / MANIFEST).exists():
            raise BundleError(
                f"{self.directory} is a model, not a model store: give the directory that holds it"
            )
        if not self.directory.is_dir():
            raise BundleError(
                f"{self.directory} is not there: give a directory of models as session-rec train "
                "writes them"
            )

    def _names(self) -> list[str]:
        """Children with a manifest; what is half written has a name that begins with a dot."""
        if not self.directory.is_dir():
            return []
        return sorted(
            path.name
            for path in self.directory.iterdir()
            if not path.name.startswith(".") and (path / MANIFEST).is_file()
        )

    def _describe(
        self, name: str, current: Release | None, previous: Release | None
    ) -> StoredModel:
        directory = self.directory / name
        here = StoredModel(
            name,
            current is not None and name == current.name,
            previous is not None and name == previous.name,
        )
        try:
            manifest = read_manifest(directory)
        except BundleError as error:
            return msgspec.structs.replace(here, problem=str(error))
        found = fingerprint(directory)
        problem = ""
        if here.current and current is not None and current.fingerprint != found:
            problem = f"{name} is now {found}, {current.fingerprint} was promoted"
        stat = (directory / MANIFEST).stat()
        return msgspec.structs.replace(
            here,
            problem=problem,
            fingerprint=found,
            kind=manifest.kind,
            items=manifest.n_items,
            data_fingerprint=manifest.data_fingerprint,
            written=datetime.fromtimestamp(int(stat.st_mtime), UTC).isoformat(),
            certificate=_certificate(manifest),
            bytes=stat.st_size + sum(entry.size for entry in manifest.files.values()),
        )


def _certificate(manifest: Manifest) -> str:
    if manifest.leakage is msgspec.UNSET:
        return "none"
    if manifest.leakage.failed:
        return "failed"
    unchecked = [n for n, c in manifest.leakage.checks.items() if c.status == "not checked"]
    return f"passed, not checked: {', '.join(unchecked)}" if unchecked else "passed"
