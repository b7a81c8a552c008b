"""A teacher's answers: whose they are, what they weigh, and what a model learns of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from session_rec.errors import ConfigError, UserError
from session_rec.predictors.base import Predictor
from session_rec.predictors.popularity import Popularity
from session_rec.ragged import Ragged
from training.fitters import FitData, Fitted, fit_model
from training.transformer import loop
from training.transformer.batches import training_sessions
from training.transformer.config import Gru4RecConfig, TransformerConfig
from training.transformer.model import ITEM_ID, build_model, task
from training.transformer.soft_targets import BatchTargets, SoftTargets, ask_teacher
from training.transformer.teacher import TeacherConfig

from .conftest import N_ITEMS, walks

NOTHING = Ragged.from_lists([])
RULES = TeacherConfig(kind="sequential-rules", folds=2)


def with_teacher(config: TransformerConfig, **teacher: Any) -> TransformerConfig:
    return TransformerConfig.model_validate({**config.model_dump(), "teacher": teacher})


def all_answers(soft: SoftTargets, sessions: int) -> BatchTargets:
    return soft.batch(np.arange(sessions))


class Scores(Predictor):
    """Gives every context these scores."""

    def __init__(self, scores: list[float], logits: bool) -> None:
        self.scores, self.logits = np.array(scores, np.float32), logits  # type: ignore[misc]
        self.n_items = len(scores)

    def score(self, contexts: Ragged) -> NDArray[np.float32]:
        return np.tile(self.scores, (len(contexts), 1))

    def config(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {}

    @classmethod
    def restore(cls, *saved: Any) -> Scores:
        raise AssertionError("this predictor of a test is never saved")


@pytest.mark.parametrize("copies,knows", [(1, False), (12, True)])
def test_nobody_is_asked_about_what_he_has_seen(
    copies: int, knows: bool, tiny: TransformerConfig, tmp_path: Path
) -> None:
    # Each pair is in one session alone: who has not seen it names items of others.
    pairs = [[2 * i, 2 * i + 1] for i in range(N_ITEMS // 2)] * copies
    train = Ragged.from_lists([[0], *pairs])
    teacher = RULES.model_copy(update={"best": 5, "share": 1.0})
    config = tiny.model_copy(update={"teacher": teacher})
    data = FitData(train, NOTHING, N_ITEMS, tmp_path)
    seen: list[Ragged] = []

    def fit_teacher(sessions: Ragged, place: Path) -> Fitted:
        seen.append(sessions)
        place.mkdir()
        others = FitData(sessions, NOTHING, N_ITEMS, place)
        return fit_model(teacher.kind, others, teacher.model())

    soft = ask_teacher(data.train, N_ITEMS, config, teacher, fit_teacher, tmp_path)
    ids, share = all_answers(soft, len(pairs))
    right = (ids == torch.tensor([second for _, second in pairs])[:, None] + 1) & (share[:, 1:] > 0)
    assert bool(right[:, 0].all()) == knows
    assert bool(right.any()) == knows
    # Each session taught one of the two, and nothing is left of their runs.
    both = np.sort(np.concatenate([sessions.rows for sessions in seen]))
    np.testing.assert_array_equal(both, np.sort(train.rows))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".safetensors", ".safetensors"]


def test_a_question_is_answered_from_the_items_before_it(
    tiny: TransformerConfig, tmp_path: Path
) -> None:
    """On a circle that all sessions follow, each answer is the item that did come next, of
    sessions longer than the model reads too."""
    train = Ragged.from_lists([[(s + i) % N_ITEMS for i in range(3 + s % 15)] for s in range(300)])
    teacher = RULES.model_copy(update={"folds": 3, "best": 4})
    soft = ask_teacher(
        train,
        N_ITEMS,
        tiny,
        teacher,
        lambda sessions, place: fit_model(
            "sequential-rules", FitData(sessions, NOTHING, N_ITEMS, place), teacher.model()
        ),
        tmp_path,
    )
    sessions, _ = training_sessions(train, tiny.max_length)
    which = np.random.default_rng(0).permutation(len(sessions))[:50]
    ids, _ = soft.batch(which)
    came = np.concatenate([sessions.sequence(s)[1:] for s in which])
    np.testing.assert_array_equal(ids[:, 0].numpy(), came + 1)


@pytest.mark.parametrize(
    "scores,logits,probabilities",
    [
        ([1.0, 3.0, 0.0], True, [math.e**3, math.e, 1.0]),
        ([1.0, 3.0, -2.0], False, [3.0, 1.0, 0.0]),
        # No evidence for any item: nothing is learnt of it.
        ([0.0, 0.0, -1.0], False, [0.0, 0.0, 0.0]),
    ],
)
def test_what_scores_weigh(
    scores: list[float],
    logits: bool,
    probabilities: list[float],
    tiny: TransformerConfig,
    tmp_path: Path,
) -> None:
    train = Ragged.from_lists([[0, 1, 2], [2, 1]])
    soft = ask_teacher(
        train, 3, tiny, RULES, lambda sessions, place: Fitted(Scores(scores, logits)), tmp_path
    )
    ids, share = all_answers(soft, 2)
    expected = np.array(probabilities) / max(sum(probabilities), 1e-9)
    # Three questions; half of the loss is the teacher's, where it says anything.
    assert ids.tolist() == [[i + 1 for i in np.argsort([-s for s in scores], kind="stable")]] * 3
    np.testing.assert_allclose(share[:, 1:].numpy(), np.tile(expected / 2, (3, 1)), rtol=1e-6)
    np.testing.assert_allclose(share.sum(dim=1).numpy(), 1.0, rtol=1e-6)


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


def test_answers_to_other_questions_are_refused(tiny: TransformerConfig, tmp_path: Path) -> None:
    train = walks(60, 0)

    def ask(sessions: Ragged, config: TransformerConfig, **changes: Any) -> SoftTargets:
        teacher = RULES.model_copy(update=changes)

        def fit_teacher(others: Ragged, place: Path) -> Fitted:
            data = FitData(others, NOTHING, N_ITEMS, place)
            return fit_model(teacher.kind, data, teacher.model())

        return ask_teacher(sessions, N_ITEMS, config, teacher, fit_teacher, tmp_path)

    ask(train, tiny)
    for sessions, config, changes in (
        (walks(60, 1), tiny, {}),
        (train, tiny.model_copy(update={"seed": 2}), {}),
        (train, tiny.model_copy(update={"max_length": 7}), {}),
        (train, tiny, {"best": 29}),
        (train, tiny, {"settings": {"steps": 3}}),
    ):
        with pytest.raises(UserError, match="answers to other questions"):
            ask(sessions, config, **changes)
    # How much they weigh, and how the model is trained, is another matter.
    ask(train, tiny.model_copy(update={"epochs": 9}), share=0.1)


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
