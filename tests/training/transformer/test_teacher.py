"""Training with a teacher: the loss, what is learnt of it, and a run that was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from session_rec.errors import ConfigError, UserError
from session_rec.predictors.popularity import Popularity
from session_rec.ragged import Ragged
from training.fitters import FitData, Fitted, fit_model
from training.transformer import loop
from training.transformer.config import Gru4RecConfig, TransformerConfig
from training.transformer.model import ITEM_ID, build_model, task
from training.transformer.soft_targets import BatchTargets, ask_teacher
from training.transformer.teacher import TeacherConfig

from .conftest import N_ITEMS, walks

NOTHING = Ragged.from_lists([])


def with_teacher(config: TransformerConfig, **teacher: Any) -> TransformerConfig:
    return TransformerConfig.model_validate({**config.model_dump(), "teacher": teacher})


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("negatives", [0, 12])
def test_the_loss_is_the_cross_entropy_with_both(
    negatives: int, gate: bool, tiny: TransformerConfig
) -> None:
    """With all of the weight on the items that were clicked, whatever the model says of others,
    the loss is that of training alone; otherwise it is what the model's scores say."""
    config = tiny.model_copy(update={"num_negatives": negatives, "repeat_gate": gate})
    torch.manual_seed(5)
    counts = np.ones(N_ITEMS, np.int64)
    model = build_model(N_ITEMS, config, counts)
    model.eval()  # without dropout two calls see the same
    ids = torch.tensor([[4, 7, 4, 9], [3, 5, 0, 0]])
    clicked = torch.tensor([7, 4, 9, 5])

    def loss(taught: BatchTargets | None) -> float:
        torch.manual_seed(6)
        task(model).taught = taught
        output = model({ITEM_ID: ids}, targets=torch.tensor([1.0, 3.0]), training=True)
        return float(output["loss"].detach())

    others = torch.tensor([[2, 4], [8, 9], [4, 7], [3, 6]])
    mixed = torch.tensor([[0.4, 0.5, 0.1]]).repeat(4, 1)
    contexts = [[4], [4, 7], [4, 7, 4], [3]]
    alone = torch.tensor([[0.0, 1.0, 0.0, 0.0]]).repeat(4, 1)
    same = BatchTargets(torch.cat([clicked[:, None], others], dim=1), alone)
    assert loss(same) == pytest.approx(loss(None), rel=1e-5)
    found = loss(BatchTargets(others, mixed))
    task(model).taught = None
    if negatives and gate:
        return  # the gate's own tests say what it makes of a loss
    lines = [model({ITEM_ID: torch.tensor([context])})[0] for context in contexts]
    # The sum of the exponentials is that of all items, or the estimate for the clicked ones.
    torch.manual_seed(6)
    step = model({ITEM_ID: ids}, targets=torch.ones(2), training=True)
    total = torch.logsumexp(step["predictions"], dim=1)
    lines = [
        (line - (sum_ if negatives else torch.logsumexp(line, dim=0))).tolist()
        for line, sum_ in zip(lines, total, strict=True)
    ]
    each = [
        -0.4 * line[click] - 0.5 * line[first] - 0.1 * line[second]
        for line, click, (first, second) in zip(
            lines, clicked.tolist(), others.tolist(), strict=True
        )
    ]
    # Three questions of a session of weight 1, one of weight 3.
    assert found == pytest.approx((sum(each[:3]) + 3 * each[3]) / 6, rel=1e-4)


@pytest.mark.parametrize("config", [TransformerConfig, Gru4RecConfig])
def test_a_model_learns_what_only_its_teacher_says(
    config: type[TransformerConfig], tmp_path: Path
) -> None:
    """Sessions of random items, and a teacher who always expects item 7: the model expects it."""
    rng = np.random.default_rng(0)
    train = Ragged.from_lists(rng.integers(0, N_ITEMS, (200, 5)).tolist())
    settings = config(
        d_model=16, epochs=4, batch_size=32, learning_rate=1e-2, threads=1, num_negatives=0
    )
    certain = np.where(np.arange(N_ITEMS) == 7, 9.0, 0.0).astype(np.float32)
    teacher = TeacherConfig(kind="popularity", share=0.8)
    soft = ask_teacher(
        train,
        N_ITEMS,
        settings,
        teacher,
        lambda s, p: Fitted(Popularity(certain)),
        tmp_path / "teacher",
    )
    trained = loop.fit(train, NOTHING, N_ITEMS, settings, run_dir=tmp_path, ask=lambda: soft)
    scores = trained.model({ITEM_ID: torch.tensor([[3], [12]])})
    assert scores.argmax(dim=1).tolist() == [8, 8]
    assert torch.softmax(scores, dim=1)[:, 8].min() > 0.6


def test_answers_are_kept_and_a_run_goes_on_from_them(
    tiny: TransformerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_teacher(tiny, kind="sequential-rules", folds=3)
    data = FitData(walks(200, 0), walks(30, 1), N_ITEMS, tmp_path / "one")
    whole = fit_model("transformer", data, config)
    other = FitData(walks(200, 0), walks(30, 1), N_ITEMS, tmp_path / "two")
    fits = []

    def dies_on_the_third(kind: str, given: FitData, settings: Any) -> Any:
        fits.append(kind)
        if len(fits) == 3:
            raise KeyboardInterrupt
        return fit_model(kind, given, settings)

    monkeypatch.setattr("training.fitters.fit_model", dies_on_the_third)
    with pytest.raises(KeyboardInterrupt):
        fit_model("transformer", other, config)
    kept = sorted(path.name for path in (tmp_path / "two" / "teacher").iterdir())
    assert kept == ["answers-1-of-3.safetensors", "answers-2-of-3.safetensors"]
    again = fit_model("transformer", other, config)
    assert len(fits) == 4  # only the third fold's was left
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(again.weights[name], array)
    damaged = tmp_path / "two" / "teacher" / "answers-2-of-3.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(UserError, match="answers-2-of-3.safetensors is damaged"):
        fit_model("transformer", other, config)


def test_a_teacher_sees_none_of_the_sessions_of_early_stopping(
    tiny: TransformerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def watched(kind: str, data: FitData, settings: Any) -> Fitted:
        given.append(data)
        return fit_model(kind, data, settings)

    monkeypatch.setattr("training.fitters.fit_model", watched)
    config = with_teacher(tiny, kind="sequential-rules", folds=2)
    train, valid = walks(60, 0), walks(30, 1)
    fit_model("transformer", FitData(train, valid, N_ITEMS, tmp_path), config)
    assert [len(data.valid) for data in given] == [0, 0]
    assert sum(len(data.train) for data in given) == len(train)


def test_a_run_that_cannot_go_on_says_so_before_a_teacher_is_trained(
    tiny: TransformerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tiny.model_copy(update={"epochs": 1})
    data = FitData(walks(60, 0), NOTHING, N_ITEMS, tmp_path)
    fit_model("transformer", data, short)
    monkeypatch.setattr("training.fitters.soft_targets", None)
    with pytest.raises(UserError, match="checkpoint of another run"):
        fit_model("transformer", data, with_teacher(short, kind="sequential-rules"))


def test_where_the_others_teach_nothing_the_clicks_are_left(
    tiny: TransformerConfig, tmp_path: Path
) -> None:
    """One session of two items: its fold's teacher would have none, and the other is asked
    nothing."""
    train = Ragged.from_lists([[3], [4, 5], [6]])
    config = with_teacher(tiny, kind="gru4rec", settings={"d_model": 8, "epochs": 1}, folds=2)
    trained = fit_model("transformer", FitData(train, NOTHING, N_ITEMS, tmp_path), config)
    assert np.isfinite(trained.record["history"][-1]["loss"])
    assert not any((tmp_path / "teacher").glob("*"))


def test_a_model_is_as_deterministic_as_its_teacher(
    tiny: TransformerConfig, tmp_path: Path
) -> None:
    data = FitData(walks(60, 0), NOTHING, N_ITEMS, tmp_path)
    item2vec = {"vector_size": 4, "epochs": 1, "workers": 2}
    short = tiny.model_copy(update={"epochs": 1})
    config = with_teacher(short, settings={"parts": {"item2vec": item2vec}, "epochs": 1}, folds=2)
    for _ in range(2):  # the second time, the answers are those that were kept
        assert fit_model("transformer", data, config).record["deterministic"] is False
    alone = FitData(data.train, NOTHING, N_ITEMS, tmp_path / "alone")
    assert fit_model("transformer", alone, short).record["deterministic"] is True


def test_what_has_no_teacher_is_recorded_as_before() -> None:
    assert "teacher" not in TransformerConfig().model_dump()
    assert "teacher" not in TransformerConfig().model_dump_json()
    config = with_teacher(TransformerConfig(), kind="popularity")
    assert TransformerConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    "settings,error,words",
    [
        ({"teacher": {"kind": "oracle"}}, ConfigError, "unknown model kind 'oracle'"),
        (
            {"teacher": {"kind": "vmis-knn", "settings": {"neighbors": 3}}},
            ConfigError,
            "the teacher vmis-knn: unknown key 'neighbors'; the nearest known one is 'neighbours'",
        ),
        ({"teacher": {"folds": 1}}, ValueError, "folds"),
        ({"teacher": {"kind": "item2vec"}}, ValueError, "are no probabilities"),
        (
            {"teacher": {"settings": {"parts": {"gru4rec": {"run_dir": "runs/gru"}}}}},
            ValueError,
            "the teacher's part gru4rec has a run_dir",
        ),
        ({"teacher": {}, "architecture": "xlnet", "masking": "mlm"}, ValueError, "leave the teach"),
    ],
)
def test_what_cannot_teach_is_said_at_once(
    settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        TransformerConfig.model_validate(settings)
