"""The model directory: verified, data only, whole or not there."""

import json
import os
import subprocess
import sys

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file

from session_rec import Recommender
from session_rec.bundle import save_bundle
from session_rec.errors import BundleError, DataError
from session_rec.manifest import MANIFEST, Manifest, read_manifest, verify


def test_a_loaded_model_answers_as_the_sessions_say(model_directory):
    recommender = Recommender.load(model_directory)
    assert [i for i, _ in recommender.recommend(["a"], k=2)] == ["b", "c"]
    assert recommender.catalog.name(0) == "Apple"
    assert recommender.catalog.name(2) == "c"


def test_any_flipped_byte_is_refused_and_its_file_named(model_directory):
    names = [n for n in os.listdir(model_directory) if n != MANIFEST]
    assert len(names) >= 2
    for name in names:
        path = model_directory / name
        good = path.read_bytes()
        for place in {0, len(good) // 2, len(good) - 1}:
            bad = bytearray(good)
            bad[place] ^= 1
            path.write_bytes(bad)
            with pytest.raises(BundleError, match=name):
                Recommender.load(model_directory)
        path.write_bytes(good[:-1])
        with pytest.raises(BundleError, match=name):
            Recommender.load(model_directory)
        path.unlink()
        with pytest.raises(BundleError, match=name):
            Recommender.load(model_directory)
        path.write_bytes(good)
    verify(model_directory)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2"),
        ({"kind": "oracle"}, "unknown model kind 'oracle'"),
        ({"n_items": 5}, "number of items"),
        ({"config": {"newest_m": 3}}, "does not describe a sequential-rules"),
        ({"rules_fingerprint": "0"}, "session rules"),
        ({"rules": {"name": "shop", "years": 3}}, "does not describe"),
        ({"files": {}}, "is not named in manifest.json: remove it"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(model_directory, change, words):
    path = model_directory / MANIFEST
    values = {**json.loads(path.read_text()), **change}
    path.write_bytes(msgspec.convert(values, Manifest).sealed().to_json())
    with pytest.raises(BundleError, match=words):
        Recommender.load(model_directory)


def test_a_directory_without_a_model_is_said_to_be_one(tmp_path):
    with pytest.raises(BundleError, match="is not there"):
        Recommender.load(tmp_path / "nothing")
    with pytest.raises(BundleError, match="not a model directory"):
        Recommender.load(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(BundleError, match="not a manifest"):
        Recommender.load(tmp_path)


def test_saving_what_was_loaded_gives_the_same_bytes(model_directory, tmp_path):
    r = Recommender.load(model_directory)
    again = tmp_path / "again"
    save_bundle(
        again, r.catalog, r.predictor, r.rules, data_fingerprint="f" * 64, training={"seed": 1}
    )
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {
        p.name: p.read_bytes() for p in model_directory.iterdir()
    }
    assert Recommender.load(again).fingerprint == r.fingerprint


def test_an_existing_directory_is_not_written_over_unless_asked(model_directory):
    r = Recommender.load(model_directory)
    with pytest.raises(DataError, match="already there"):
        save_bundle(model_directory, r.catalog, r.predictor, r.rules, data_fingerprint="x")
    save_bundle(
        model_directory, r.catalog, r.predictor, r.rules, data_fingerprint="x", replace=True
    )
    assert read_manifest(model_directory).data_fingerprint == "x"
    assert [p.name for p in model_directory.parent.iterdir()] == ["model"]


def test_a_save_that_fails_leaves_nothing(model_directory, tmp_path):
    r = Recommender.load(model_directory)
    before = set(tmp_path.iterdir())
    with pytest.raises(TypeError):
        save_bundle(
            tmp_path / "new",
            r.catalog,
            r.predictor,
            r.rules,
            data_fingerprint="x",
            training={"not": object()},
        )
    assert set(tmp_path.iterdir()) == before


def test_the_weights_are_plain_safetensors(model_directory):
    arrays = load_file(model_directory / "weights.safetensors")
    assert all(isinstance(a, np.ndarray) for a in arrays.values())


def test_loading_and_predicting_import_no_training_library(model_directory):
    code = (
        "import sys; from session_rec import Recommender\n"
        f"r = Recommender.load({str(model_directory)!r}); r.recommend(['a', 'zz'], k=3)\n"
        "heavy = ('torch', 'gensim', 'transformers4rec', 'transformers', 'pandas', 'scipy',\n"
        "         'kafka', 'duckdb', 'pyarrow', 'pickle5')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_any_flipped_byte_of_the_manifest_is_refused(model_directory):
    path = model_directory / MANIFEST
    good = path.read_bytes()
    for place in range(len(good)):
        for bit in (1, 16):
            bad = bytearray(good)
            bad[place] ^= bit
            path.write_bytes(bad)
            with pytest.raises(BundleError, match=MANIFEST):
                read_manifest(model_directory)


def test_a_manifest_cannot_name_a_file_elsewhere(model_directory, tmp_path):
    path = model_directory / MANIFEST
    values = json.loads(path.read_text())
    values["files"]["../secret.txt"] = {"sha256": "", "size": 1}
    path.write_bytes(msgspec.convert(values, Manifest).sealed().to_json())
    with pytest.raises(BundleError, match="outside its directory"):
        verify(model_directory)


def test_files_that_a_model_could_read_must_be_named(model_directory):
    (model_directory / "notes.txt").write_text("mine")
    verify(model_directory)
    (model_directory / "encoder.onnx").write_bytes(b"surprise")
    with pytest.raises(BundleError, match="encoder.onnx is not named"):
        Recommender.load(model_directory)
