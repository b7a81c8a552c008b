"""The model directory: data, never code.

``manifest.json`` names every other file with its sha256. Nothing is unpickled: the catalog is JSON,
weights are safetensors, an encoder is ONNX. Time and host stay out, so the same training gives the
same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import save

from session_rec.catalog import Catalog
from session_rec.certificate import Certificate
from session_rec.errors import BundleError, ConfigError
from session_rec.files import new_directory
from session_rec.manifest import FORMAT, MANIFEST, FileEntry, Manifest, fingerprint, verify
from session_rec.predictors import Predictor, predictor_class
from session_rec.predictors.base import Files
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules
from session_rec.weights import map_weights

CATALOG = "catalog.json"
WEIGHTS = "weights.safetensors"


def save_bundle(
    target: Path,
    catalog: Catalog,
    predictor: Predictor,
    rules: SessionRules,
    *,
    data_fingerprint: str,
    training: Mapping[str, Any] | None = None,
    metrics: Sequence[Mapping[str, Any]] = (),
    leakage: Certificate | None = None,
    replace: bool = False,
) -> Manifest:
    """Writes a model directory under a temporary name and renames it when it is whole.

    Args:
        target: the directory to appear; there must be none unless ``replace``.
        data_fingerprint: names the training data.
        training: JSON-able record of how it was trained.
        metrics: figures, each with its protocol.
        leakage: the certificate of a training; a toy model of a test may have none.

    >>> import tempfile
    >>> from session_rec.predictors.popularity import Popularity
    >>> target = Path(tempfile.mkdtemp()) / "model"
    >>> catalog = Catalog(("pear", "plum"), np.array([2, 3]))
    >>> model = Popularity(np.array([2, 3], np.float32))
    >>> manifest = save_bundle(target, catalog, model, SessionRules(), data_fingerprint="0")
    >>> manifest.kind, sorted(manifest.files)
    ('popularity', ['catalog.json', 'weights.safetensors'])
    >>> load(target).recommend(["pear"], k=2)
    [('plum', 3.0), ('pear', 2.0)]
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
        {name: FileEntry.of(data) for name, data in files.items()},
        leakage=msgspec.UNSET if leakage is None else leakage,
    ).sealed()
    with new_directory(target, replace) as tmp:
        for name, data in files.items():
            (tmp / name).write_bytes(data)
        (tmp / MANIFEST).write_bytes(manifest.to_json())
    return manifest


def load(directory: Path) -> Recommender:
    """The verified model in ``directory`` as a recommender.

    Its weights are memory maps (:mod:`session_rec.weights`), read-only and shared by all
    processes that load them; the files must not be written over meanwhile.

    Raises:
        BundleError: anything about the directory is not as its manifest says.

    >>> load(Path("no-such-model"))
    Traceback (most recent call last):
    session_rec.errors.BundleError: no-such-model is not there: ...
    """
    manifest = verify(directory)
    for name in (CATALOG, WEIGHTS):
        if name not in manifest.files:
            raise BundleError(f"{directory / MANIFEST} names no {name}: train the model again")
    catalog = Catalog.from_json((directory / CATALOG).read_bytes())
    if len(catalog) != manifest.n_items:
        raise BundleError(f"{directory / CATALOG} has another number of items than the manifest")
    arrays = map_weights(directory / WEIGHTS)
    cls = predictor_class(manifest.kind)
    try:
        rules = SessionRules.from_dict(manifest.rules)
        if rules.fingerprint != manifest.rules_fingerprint:
            raise BundleError(f"{directory / MANIFEST}: its session rules do not match their hash")
        predictor = cls.restore(manifest.config, arrays, Files(directory), len(catalog))
    except (KeyError, ValueError, TypeError, OSError, ConfigError) as e:
        raise BundleError(
            f"{directory / MANIFEST} does not describe a {manifest.kind} that this version can "
            f"restore ({type(e).__name__}: {next(iter(str(e).splitlines()), '')})"
        ) from None
    if predictor.n_items != len(catalog):
        raise BundleError(
            f"{directory / WEIGHTS} scores {predictor.n_items} items, the catalog has "
            f"{len(catalog)}: train the model again"
        )
    return Recommender(catalog, predictor, rules, fingerprint(directory))
