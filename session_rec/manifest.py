"""``manifest.json``: what a model directory says of itself, and the check that it is so."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from session_rec.certificate import Certificate
from session_rec.errors import BundleError

FORMAT = 1  #: major version of the layout; another one is refused
MANIFEST = "manifest.json"

#: A larger file in a model directory is refused before it is read.
MAX_FILE_BYTES = 64 * 2**30
_MAX_MANIFEST_BYTES = 16 * 2**20


class FileEntry(msgspec.Struct, frozen=True):
    """A file beside the manifest: its sha256 (hex), and its size in bytes.

    >>> FileEntry.of(b"abc")
    FileEntry(sha256='ba7816bf...f20015ad', size=3)
    """

    sha256: str
    size: int

    @classmethod
    def of(cls, data: bytes) -> FileEntry:
        """The entry of a file with this content."""
        return cls(hashlib.sha256(data).hexdigest(), len(data))


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
        files: every other file by name.
        sha256: of this manifest's own bytes with this field empty.
        leakage: the certificate of the training; unset where the model was saved without one.

    >>> from session_rec.toy import toy_directory
    >>> manifest = read_manifest(toy_directory("pear plum"))
    >>> manifest.kind, manifest.n_items, manifest.rules["name"]
    ('popularity', 2, 'shop')
    >>> manifest.sealed() == manifest
    True
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
    files: dict[str, FileEntry]
    sha256: str = ""
    leakage: Certificate | msgspec.UnsetType = msgspec.UNSET

    def sealed(self) -> Manifest:
        """The same manifest with its own hash."""
        empty = msgspec.structs.replace(self, sha256="")
        return msgspec.structs.replace(empty, sha256=hashlib.sha256(empty.to_json()).hexdigest())

    def to_json(self) -> bytes:
        """The one way to write it: UTF-8 JSON, keys sorted, two spaces."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=2) + b"\n"


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a model directory, itself verified; its files are not.

    Raises:
        BundleError: it is missing, changed, not a manifest, or of another major version.

    >>> from session_rec.toy import toy_directory
    >>> sorted(read_manifest(toy_directory("pear plum")).files)
    ['catalog.json', 'weights.safetensors']
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
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise BundleError(f"{path} is not a manifest: {e}; copy the model again") from None
    if manifest.sealed().to_json() != data:
        raise BundleError(
            f"{path} was changed: its bytes are not those that it was written with; "
            "copy the model again"
        )
    return manifest


def fingerprint(directory: Path) -> str:
    """16 hex digits that name the model: the hash of its manifest, which hashes all the rest.

    >>> from session_rec.toy import toy_directory
    >>> one, same, other = map(toy_directory, ("pear plum", "pear plum", "pear fig"))
    >>> fingerprint(one) == fingerprint(same), fingerprint(one) == fingerprint(other)
    (True, False)
    """
    return hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()[:16]


def verify(directory: Path) -> Manifest:
    """Checks every file against the manifest and returns it.

    Raises:
        BundleError: a file is missing, unknown to the manifest, of another size, or has another
            sha256; it is named.

    >>> from session_rec.toy import toy_directory
    >>> directory = toy_directory("pear plum")
    >>> verify(directory).kind
    'popularity'
    >>> _ = (directory / "catalog.json").write_bytes(b"{}")
    >>> verify(directory)
    Traceback (most recent call last):
    session_rec.errors.BundleError: ...catalog.json has 2 bytes, its manifest says ...
    """
    manifest = read_manifest(directory)
    for path in sorted(directory.iterdir()):
        # Whatever a model could read must be vouched for; a stray note does no harm.
        loadable = path.suffix in (".json", ".safetensors", ".onnx")
        if loadable and path.name != MANIFEST and path.name not in manifest.files:
            raise BundleError(f"{path} is not named in {MANIFEST}: remove it")
    for name, entry in manifest.files.items():
        path = directory / name
        if Path(name).name != name:
            raise BundleError(f"{directory / MANIFEST} names a file outside its directory: {name}")
        if not path.is_file():
            raise BundleError(f"{path} is missing: copy the model again")
        size = path.stat().st_size
        if size != entry.size or size > MAX_FILE_BYTES:
            raise BundleError(
                f"{path} has {size} bytes, its manifest says {entry.size}: copy the model again"
            )
        with path.open("rb") as f:
            digest = hashlib.file_digest(f, "sha256").hexdigest()
        if digest != entry.sha256:
            raise BundleError(
                f"{path} was changed: its sha256 differs from the manifest; copy the model again"
            )
    return manifest
