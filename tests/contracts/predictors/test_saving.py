"""What every model promises of its directory: the same bytes, shared memory, nothing foreign."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from session_rec import Catalog, Ragged, Recommender, SessionRules, bundle
from session_rec.bundle import WEIGHTS, save_bundle
from session_rec.config import parse_config
from session_rec.errors import BundleError, ConfigError
from session_rec.manifest import MANIFEST, read_manifest
from session_rec.predictors import dot_products
from training.fitters import FitData, fit_model, model_config, trainable_kinds

from .cases import CASES, N_ITEMS, Case, probes
from .conftest import Model, case_directory

#: The first test waits for the trainings, which a busy machine may hold up.
pytestmark = pytest.mark.timeout(600)
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def memory_map(array: NDArray[Any]) -> np.memmap | None:
    """The map that ``array`` is a view of."""
    base: Any = array
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    return base


@every_case
def test_training_in_two_processes_gives_the_same_directory(case: Case, fitted: tuple[Path, Path]):
    first, second = (contents(case_directory(root, case)) for root in fitted)
    assert {MANIFEST, WEIGHTS} < set(first)
    assert first == second


@every_case
def test_the_loaded_model_scores_as_the_trained_one(case: Case, fitted: tuple[Path, Path]):
    directory = case_directory(fitted[0], case)
    trained = np.load(fitted[0] / f"{case.name}.npy")
    loaded = Recommender.load(directory).predictor
    assert loaded.score(Ragged.from_lists(probes())).tobytes() == trained.tobytes()


_SCORE = """
import hashlib, sys, msgspec
from session_rec import Ragged, Recommender
contexts = Ragged.from_lists(msgspec.json.decode(sys.stdin.buffer.read()))
for directory in sys.argv[1:]:
    scores = Recommender.load(directory).predictor.score(contexts)
    print(hashlib.sha256(scores.tobytes()).hexdigest())
assert not {"torch", "gensim", "training"} & set(sys.modules)
"""


def test_another_process_scores_the_same_without_a_training_library(fitted: tuple[Path, Path]):
    directories = [fitted[0] / case.name for case in CASES if (fitted[0] / case.name).is_dir()]
    done = subprocess.run(
        [sys.executable, "-c", _SCORE, *map(str, directories)],
        input=msgspec.json.encode(probes()),
        env={**os.environ, "PYTHONHASHSEED": "3", "OMP_NUM_THREADS": "2"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    contexts = Ragged.from_lists(probes())
    assert done.stdout.decode().split() == [
        hashlib.sha256(Recommender.load(d).predictor.score(contexts).tobytes()).hexdigest()
        for d in directories
    ]


def test_saving_what_was_loaded_gives_the_same_directory(model: Model, tmp_path: Path):
    r = model.recommender
    save_bundle(tmp_path / "again", r.catalog, r.predictor, r.rules, data_fingerprint="0")
    assert contents(tmp_path / "again") == contents(model.directory)


def test_weights_are_views_on_the_mapped_file(model: Model):
    arrays = model.predictor.arrays()
    in_memory = load_file(model.directory / WEIGHTS)
    assert set(arrays) == set(in_memory) != set()
    for name, array in arrays.items():
        # A plain array, as numpy.memmap is slow to index; what it looks at is the map.
        assert type(array) is np.ndarray and array.flags.c_contiguous
        mapped = memory_map(array)
        assert mapped is not None and Path(mapped.filename) == model.directory / WEIGHTS
        assert not array.flags.writeable
        with pytest.raises(ValueError):
            array[...] = 0
        assert (array.dtype, array.shape) == (in_memory[name].dtype, in_memory[name].shape)
        assert array.tobytes() == in_memory[name].tobytes()


def test_mapped_weights_score_as_those_in_memory(model: Model, monkeypatch: pytest.MonkeyPatch):
    if model.in_place:
        monkeypatch.setattr(dot_products, "PACKED_BYTES", 0)
    monkeypatch.setattr(bundle, "map_weights", load_file)
    copied = Recommender.load(model.directory).predictor
    assert all(memory_map(array) is None for array in copied.arrays().values())
    assert copied.score(model.contexts).tobytes() == model.alone.tobytes()


@every_case
def test_unknown_settings_are_refused(case: Case, fitted: tuple[Path, Path], tmp_path: Path):
    directory = case_directory(fitted[0], case)
    for name, data in contents(directory).items():
        (tmp_path / name).write_bytes(data)
    manifest = read_manifest(directory)
    changed = msgspec.structs.replace(manifest, config={**manifest.config, "no_such": 1})
    (tmp_path / MANIFEST).write_bytes(changed.sealed().to_json())
    with pytest.raises(BundleError, match="no_such|does not describe"):
        Recommender.load(tmp_path)
    with pytest.raises(ConfigError, match="no_such"):
        parse_config({**case.settings, "no_such": 1}, model_config(case.kind), "the settings")


@every_case
def test_weights_of_another_catalog_are_refused(
    case: Case, fitted: tuple[Path, Path], tmp_path: Path
):
    predictor = Recommender.load(case_directory(fitted[0], case)).predictor
    larger = Catalog(tuple(map(str, range(N_ITEMS + 1))), np.ones(N_ITEMS + 1, np.int64))
    save_bundle(tmp_path / "m", larger, predictor, SessionRules("pairs"), data_fingerprint="0")
    with pytest.raises(BundleError, match="items|vectors"):
        Recommender.load(tmp_path / "m")


@every_case
def test_a_manifest_without_a_weight_is_refused(
    case: Case, fitted: tuple[Path, Path], tmp_path: Path
):
    recommender = Recommender.load(case_directory(fitted[0], case))
    arrays = dict(recommender.predictor.arrays())
    arrays.pop(min(arrays))
    recommender.predictor.arrays = lambda: arrays
    save_bundle(
        tmp_path / "m",
        recommender.catalog,
        recommender.predictor,
        recommender.rules,
        data_fingerprint="0",
    )
    with pytest.raises(BundleError):
        Recommender.load(tmp_path / "m")


def test_every_kind_that_can_be_trained_is_held_to_the_contract():
    assert set(trainable_kinds()) == {case.kind for case in CASES}


@pytest.mark.parametrize(
    "kind",
    [k for k in trainable_kinds() if k not in ("item2vec", "gru4rec", "transformer", "two-stage")],
)
def test_a_model_of_no_sessions_still_answers(kind: str, tmp_path: Path):
    nothing = Ragged.from_lists([])
    data = FitData(nothing, nothing, 4, tmp_path)
    predictor = fit_model(kind, data, model_config(kind)()).predictor
    assert np.isfinite(predictor.score(Ragged.from_lists([[1, 2], []]))).all()
    assert predictor.top_k(Ragged.from_lists([[1, 2]]), 2)[0].shape == (1, 2)
