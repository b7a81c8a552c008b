"""The certificate in the manifest: it comes back, it is sealed, and old models load without."""

import json

import msgspec
import numpy as np
import pytest

from session_rec import Catalog, Recommender, SessionRules
from session_rec.bundle import save_bundle
from session_rec.certificate import Certificate, Check
from session_rec.errors import BundleError
from session_rec.manifest import MANIFEST, read_manifest
from session_rec.predictors.popularity import Popularity

CERTIFICATE = Certificate(
    {
        "future": Check("passed", "no score reads a later item", {"positions": 240}),
        "held out": Check("not checked", "test sessions not checked: no test split"),
    },
    seed=7,
)


def save(target, certificate):
    save_bundle(
        target,
        Catalog(("a", "b"), np.array([2, 1])),
        Popularity(np.array([2, 1], np.float32)),
        SessionRules(),
        data_fingerprint="f",
        leakage=certificate,
    )
    return target


def test_it_comes_back_and_the_model_loads(tmp_path):
    target = save(tmp_path / "m", CERTIFICATE)
    assert read_manifest(target).leakage == CERTIFICATE
    assert Recommender.load(target).recommend(["b"], 1) == [("a", 2.0)]


def test_a_model_that_was_saved_without_one_loads_and_its_manifest_does_not_mention_it(tmp_path):
    target = save(tmp_path / "m", None)
    assert "leakage" not in json.loads((target / MANIFEST).read_text())
    assert read_manifest(target).leakage is msgspec.UNSET
    Recommender.load(target)


def test_it_cannot_be_edited(tmp_path):
    path = save(tmp_path / "m", CERTIFICATE) / MANIFEST
    path.write_text(path.read_text().replace('"not checked"', '"passed"'))
    with pytest.raises(BundleError, match="was changed"):
        read_manifest(path.parent)


def test_it_names_what_failed():
    failed = Certificate({**CERTIFICATE.checks, "bundle": Check("failed", "differs")}, seed=7)
    assert failed.failed == ("bundle",) and CERTIFICATE.failed == ()
    assert failed.line().startswith("leakage certificate: failed (")
