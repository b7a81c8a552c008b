"""The model directory: data, never code.

``manifest.json`` names every other file with its sha256. Nothing is unpickled: the catalog is JSON,
weights are safetensors, an encoder is ONNX. Time and host stay out, so the same training gives the
same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from session_rec.catalog import Catalog
from session_rec.errors import BundleError
from session_rec.files import new_directory
from session_rec.predictors import Predictor, predictor_class
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules

FORMAT = 1  #: major version of the layout; another one is refused
MANIFEST = "manifest.json"
CATALOG = "catalog.json"
WEIGHTS = "weights.safetensors"

#: A larger file in a model directory is refused before it is read.
MAX_FILE_BYTES = 64 * 2**30
_MAX_MANIFEST_BYTES = 16 * 2**20


class Manifest(msgspec.Struct, frozen=True):
    """What a model directory says of itself.

    Attributes:
        format: major version of the layout.
        kind: model kind (:func:`session_rec.predictors.predictor_kinds`).
        config: the predictor's settings.
        inputs: what it reads of a context.
        rules: session rules, as :meth:`SessionRules.to_dict` gives them.
        rules_fingerprint: their hash.
        n_items: catalog size.
        data_fingerprint: sha256 of the training data.
        training: how it was trained: settings, seed, determinism, versions.
        metrics: measured figures, each with its protocol.
        files: name -> sha256 (hex) and size of every other file.
    """

    format: int
    kind: str
    config: dict[str, Any]
    inputs: list[str]
    rules: dict[str, str | int]
    rules_fingerprint: str
    n_items: int
    data_fingerprint: str
    training: dict[str, Any]
    metrics: list[dict[str, Any]]
    files: dict[str, dict[str, str | int]]


def save_bundle(
    target: Path,
    catalog: Catalog,
    predictor: Predictor,
    rules: SessionRules,
    *,
    data_fingerprint: str,
    training: Mapping[str, Any] | None = None,
    metrics: Sequence[Mapping[str, Any]] = (),
    replace: bool = False,
) -> Manifest:
    """Writes a model directory under a temporary name and renames it when it is whole.

    Args:
        target: the directory to appear; there must be none unless ``replace``.
        data_fingerprint: names the training data.
        training: JSON-able record of how it was trained.
        metrics: figures, each with its protocol.
    """
    files = {
        CATALOG: catalog.to_json(),
        WEIGHTS: save({k: np.ascontiguousarray(v) for k, v in predictor.arrays().items()}),
        **predictor.files(),
    }
    manifest = Manifest(
        FORMAT,
        predictor.kind,
        predictor.config(),
        list(predictor.inputs),
        rules.to_dict(),
        rules.fingerprint,
        len(catalog),
        data_fingerprint,
        dict(training or {}),
        [dict(m) for m in metrics],
        {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in sorted(files.items())
        },
    )
    with new_directory(target, replace) as tmp:
        for name, data in files.items():
            (tmp / name).write_bytes(data)
        encoded = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2)
        (tmp / MANIFEST).write_bytes(encoded + b"\n")
    return manifest


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a model directory, nothing else verified.

    Raises:
        BundleError: it is missing, not a manifest, or of another major version.
    """
    path = directory / MANIFEST
    if not directory.is_dir():
        raise BundleError(f"{directory} is not there: give the directory of a trained model")
    if not path.is_file():
        raise BundleError(f"{directory} is not a model directory: it has no {MANIFEST}")
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise BundleError(f"{path} is too large for a manifest")
    data = path.read_bytes()
    try:
        head = msgspec.json.decode(data, type=dict)
        if head.get("format") != FORMAT:
            raise BundleError(
                f"{path} has format {head.get('format')!r}, this version reads {FORMAT}: "
                "train the model again or use the version that wrote it"
            )
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as e:
        raise BundleError(f"{path} is not a manifest: {e}; write the model again") from None


def fingerprint(directory: Path) -> str:
    """16 hex digits that name the model: the hash of its manifest, which hashes all the rest."""
    return hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()[:16]


def verify(directory: Path) -> Manifest:
    """Checks every file against the manifest and returns it.

    Raises:
        BundleError: a file is missing, of another size, or has another sha256; it is named.
    """
    manifest = read_manifest(directory)
    for name, entry in manifest.files.items():
        path = directory / name
        if Path(name).name != name:
            raise BundleError(f"{directory / MANIFEST} names a file outside its directory: {name}")
        if not path.is_file():
            raise BundleError(f"{path} is missing: copy the model again")
        size = path.stat().st_size
        if size != entry["bytes"] or size > MAX_FILE_BYTES:
            raise BundleError(
                f"{path} has {size} bytes, its manifest says {entry['bytes']}: copy the model again"
            )
        with path.open("rb") as f:
            digest = hashlib.file_digest(f, "sha256").hexdigest()
        if digest != entry["sha256"]:
            raise BundleError(
                f"{path} was changed: its sha256 differs from the manifest; copy the model again"
            )
    return manifest


def load(directory: Path) -> Recommender:
    """The verified model in ``directory`` as a recommender.

    Raises:
        BundleError: anything about the directory is not as its manifest says.
    """
    manifest = verify(directory)
    catalog = Catalog.from_json((directory / CATALOG).read_bytes())
    if len(catalog) != manifest.n_items:
        raise BundleError(f"{directory / CATALOG} has another number of items than the manifest")
    try:
        arrays = load_file(directory / WEIGHTS)
    except SafetensorError as e:
        raise BundleError(f"{directory / WEIGHTS} is not safetensors: {e}") from None
    rules = SessionRules.from_dict(manifest.rules)
    if rules.fingerprint != manifest.rules_fingerprint:
        raise BundleError(f"{directory / MANIFEST}: its session rules do not match their hash")
    cls = predictor_class(manifest.kind)
    try:
        predictor = cls.restore(manifest.config, arrays, directory, len(catalog))
    except (KeyError, ValueError, TypeError) as e:
        raise BundleError(
            f"{directory / MANIFEST} does not describe a {manifest.kind} that this version can "
            f"restore ({type(e).__name__}: {str(e).splitlines()[0] if str(e) else e!r})"
        ) from None
    return Recommender(catalog, predictor, rules, fingerprint(directory))
