"""A teacher's answers: whose they are, to which questions, and what they weigh."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from session_rec.errors import UserError
from session_rec.predictors.base import Predictor
from session_rec.ragged import Ragged
from training.fitters import FitData, Fitted, fit_model
from training.transformer.batches import training_sessions
from training.transformer.config import TransformerConfig
from training.transformer.soft_targets import BatchTargets, SoftTargets, ask_teacher
from training.transformer.teacher import TeacherConfig

from .conftest import N_ITEMS, walks

NOTHING = Ragged.from_lists([])
RULES = TeacherConfig(kind="sequential-rules", folds=2)


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
