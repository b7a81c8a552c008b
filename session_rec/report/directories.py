"""What model directories add to a report: names of items, training curves, certificates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from session_rec.bundle import CATALOG
from session_rec.catalog import Catalog
from session_rec.certificate import CHECKS, Certificate
from session_rec.errors import BundleError, DataError
from session_rec.manifest import Manifest, fingerprint, read_manifest
from session_rec.report.rows import Check, Epoch


@dataclass(frozen=True)
class Directory:
    """A model directory as far as a report reads it: the weights are not looked at.

    >>> from session_rec.toy import toy_directory
    >>> Directory.read(toy_directory("pear plum")).catalog.item_ids
    ('pear', 'plum')
    """

    manifest: Manifest
    catalog: Catalog

    @classmethod
    def read(cls, path: Path) -> Directory:
        """The manifest and catalog of ``path``, both verified.

        Raises:
            BundleError: one is missing or was changed.
        """
        manifest = read_manifest(path)
        entry, file = manifest.files.get(CATALOG), path / CATALOG
        data = file.read_bytes() if file.is_file() else b""
        if entry is None or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError(f"{file} is not what {path} was written with: copy the model again")
        return cls(manifest, Catalog.from_json(data))


def read_directories(paths: Sequence[Path], names: Mapping[str, str]) -> dict[str, Directory]:
    """The directories by the names of their models.

    Args:
        names: the name of each model in the report, by fingerprint.

    Raises:
        DataError: a directory's model has no outcomes in the report.
        BundleError: a directory is none of a model, or was changed.

    >>> from session_rec.toy import toy_directory
    >>> path = toy_directory("pear plum")
    >>> read_directories([path], {fingerprint(path): "mine"})["mine"].manifest.kind
    'popularity'
    """
    found = {}
    for path in paths:
        directory = Directory.read(path)
        name = names.get(fingerprint(path))
        if name is None:
            raise DataError(
                f"{path} ({fingerprint(path)}) is none of the models whose outcomes were given: "
                "evaluate it with --save, or leave it out"
            )
        found[name] = directory
    return found


def epochs(model: str, manifest: Manifest) -> list[Epoch]:
    """The training's own record, empty for a model that is not trained in epochs.

    >>> from session_rec.toy import toy_directory
    >>> path = toy_directory("pear plum", training={"history": [{"loss": 2.5, "hr20": 0.25}]})
    >>> epochs("mine", read_manifest(path))
    [Epoch(model='mine', epoch=1, loss=2.5, hr20=0.25, mrr20=None)]
    """
    return [
        Epoch(model, i + 1, h.get("loss"), h.get("hr20"), h.get("mrr20"))
        for i, h in enumerate(manifest.training.get("history", ()))
    ]


def checks(model: str, manifest: Manifest) -> list[Check]:
    """The checks of the leakage certificate, empty where the model has none.

    >>> from session_rec import certificate
    >>> from session_rec.toy import toy_directory
    >>> passed = certificate.Check("passed", "no later event changed a prediction")
    >>> path = toy_directory("pear plum", leakage=Certificate({"future": passed}, seed=0))
    >>> [(check.check, check.status) for check in checks("mine", read_manifest(path))]
    [('future', 'passed')]
    """
    certificate = manifest.leakage
    if not isinstance(certificate, Certificate):
        return []
    order = [*(c for c in CHECKS if c in certificate.checks)]
    order += [c for c in certificate.checks if c not in CHECKS]
    return [
        Check(model, c, certificate.checks[c].status, certificate.checks[c].says) for c in order
    ]
