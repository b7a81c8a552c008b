from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from session_rec.bundle import load, save_bundle
from session_rec.catalog import Catalog
from session_rec.errors import BundleError
from session_rec.manifest import read_manifest
from session_rec.predictors.transformer import TransformerPredictor
from session_rec.ragged import Ragged
from session_rec.sessions import SessionRules
from training.transformer.config import Gru4RecConfig, SequenceTrainingConfig, TransformerConfig
from training.transformer.export import OPSET, export_predictor
from training.transformer.loop import TrainedSequenceModel, fit
from training.transformer.model import build_model, item_table
from training.transformer.validation import torch_scores

from .conftest import N_ITEMS, walks


def random_model(config: SequenceTrainingConfig, n_items: int) -> TrainedSequenceModel:
    """Weights far from their start, so that biases, norms and mask vector all matter."""
    torch.manual_seed(0)
    model = build_model(n_items, config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        item_table(model).weight[0] = 0
    return TrainedSequenceModel(model.eval(), [], config, n_items, 0.0)


def random_contexts(n: int, n_items: int, longest: int) -> Ragged:
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, longest + 1, n)
    return Ragged.from_lists([rng.integers(0, n_items, length).tolist() for length in lengths])


CONFIGS: dict[str, SequenceTrainingConfig] = {
    "gpt2": TransformerConfig(),
    "gpt2, odd sizes": TransformerConfig(d_model=24, n_heads=3, n_layers=3, max_length=7),
    "xlnet": TransformerConfig(architecture="xlnet", masking="mlm", d_model=32, max_length=9),
    "gpt2, no gate": TransformerConfig(repeat_gate=False),
    "gru": Gru4RecConfig(),
    "gru, odd sizes": Gru4RecConfig(
        d_model=24, hidden_size=37, n_layers=3, max_length=7, residual=True, repeat_gate=True
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_saved_model_scores_as_the_torch_model(name: str, tmp_path: Path) -> None:
    config, n_items = CONFIGS[name], 500
    trained = random_model(config, n_items)
    contexts = random_contexts(1000, n_items, config.max_length)
    wanted = torch_scores(trained.model, contexts, config)

    catalog = Catalog(tuple(f"item-{i}" for i in range(n_items)), np.ones(n_items, np.int64))
    predictor = export_predictor(trained)
    save_bundle(tmp_path / "m", catalog, predictor, SessionRules(), data_fingerprint="x")
    got = load(tmp_path / "m").predictor.score(contexts)

    tolerance = 1e-5 * (wanted.max() - wanted.min())
    assert np.abs(got - wanted).max() <= tolerance
    # The same twenty in the same order, up to swaps of scores closer than the tolerance.
    ours = np.argsort(-got, axis=1, kind="stable")[:, :20]
    theirs = np.argsort(-wanted, axis=1, kind="stable")[:, :20]
    rows = np.arange(len(wanted))[:, None]
    assert np.abs(wanted[rows, ours] - wanted[rows, theirs]).max() <= 2 * tolerance


@pytest.mark.parametrize("settings", ["tiny", "tiny_gru"])
def test_a_trained_model_exports(
    settings: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    tiny: SequenceTrainingConfig = request.getfixturevalue(settings)
    trained = fit(
        walks(200, 0),
        Ragged.from_lists([]),
        N_ITEMS,
        tiny.model_copy(update={"epochs": 16}),
        run_dir=tmp_path,
    )
    contexts = Ragged.from_lists([[3, 4, 5], [28, 29], [14]])
    best = export_predictor(trained).score(contexts).argmax(axis=1)
    assert best.tolist() == [6, 0, 15]


@pytest.mark.parametrize("name", ["gpt2", "gru"])
def test_the_encoder_is_plain_onnx_without_the_item_table(name: str) -> None:
    files = export_predictor(random_model(CONFIGS[name], 500)).files()
    model = onnx.load_from_string(files["encoder.onnx"])
    onnx.checker.check_model(model)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert {node.domain for node in model.graph.node} == {""}
    assert all(t.data_location == onnx.TensorProto.DEFAULT for t in model.graph.initializer)
    assert not any(500 in t.dims or 501 in t.dims for t in model.graph.initializer)


@pytest.mark.parametrize("name", ["gpt2, odd sizes", "gru, odd sizes"])
def test_exporting_twice_gives_the_same_bytes(name: str) -> None:
    trained = random_model(CONFIGS[name], 50)
    first, second = export_predictor(trained), export_predictor(trained)
    assert first.files() == second.files()


def test_a_table_of_another_model_is_refused() -> None:
    predictor = export_predictor(random_model(CONFIGS["gpt2, odd sizes"], 50))
    with pytest.raises(BundleError, match="mixes two models"):
        TransformerPredictor(
            np.zeros((50, 16), np.float32), predictor.files()["encoder.onnx"], max_length=7
        )


@pytest.mark.parametrize(
    "name,kind,gate",
    [
        ("gpt2", "transformer", {"repeat_gate": True}),
        ("gpt2, no gate", "transformer", {}),
        ("gru", "gru4rec", {}),
    ],
)
def test_what_a_directory_holds_stays_readable(
    name: str, kind: str, gate: dict[str, bool], tmp_path: Path
) -> None:
    """These names are in directories that were written long ago."""
    predictor = export_predictor(random_model(CONFIGS[name], 50))
    catalog = Catalog(tuple(map(str, range(50))), np.ones(50, np.int64))
    save_bundle(tmp_path / "m", catalog, predictor, SessionRules(), data_fingerprint="x")
    manifest = read_manifest(tmp_path / "m")
    assert manifest.kind == kind
    assert manifest.config == {"max_length": 20, "fixed_length": False} | gate
    assert set(predictor.arrays()) == {"item_table"} and set(predictor.files()) == {"encoder.onnx"}


@pytest.mark.parametrize("name", CONFIGS)
def test_scores_do_not_depend_on_company(name: str) -> None:
    config, n_items = CONFIGS[name], 333
    predictor = export_predictor(random_model(config, n_items))
    contexts = random_contexts(150, n_items, config.max_length + 5)
    together = predictor.score(contexts)
    rng = np.random.default_rng(2)
    for size in (1, 1, 1, 2, 3, 5, 16, 33, 64, 65, 130):
        which = rng.integers(0, len(contexts), size)
        assert np.array_equal(predictor.score(contexts.take(which)), together[which])


@pytest.mark.parametrize("name", ["gpt2, odd sizes", "gru, odd sizes"])
def test_an_empty_context_scores_zero_and_older_items_are_not_read(name: str) -> None:
    config = CONFIGS[name]
    predictor = export_predictor(random_model(config, 50))
    long = list(range(20))
    scores = predictor.score(Ragged.from_lists([[], long, long[-7:]]))
    assert not scores[0].any()
    assert np.array_equal(scores[1], scores[2])
