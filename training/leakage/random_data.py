"""Check (d): where there is nothing to learn, the same code must learn nothing.

The model kind is trained by the same code on sessions of independent uniform items. The next item
is then in a slate of k of N items with probability k / N exactly, whatever the slate and whatever
came before, so the hits of Q questions are binomial (Q, k / N) without any approximation. It is
the slate that decides a hit: with pessimistic ranks, models that tie many items would fall below
chance.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.stats import binom

from session_rec.bundle import save_bundle
from session_rec.catalog import Catalog
from session_rec.certificate import Check
from session_rec.ragged import Ragged
from session_rec.recommender import Recommender
from session_rec.retrieval import top_k
from session_rec.sessions import SessionRules
from training.fitters import FitData, fit_model
from training.leakage.forward import Asked, SessionForward
from training.leakage.probes import random_sessions
from training.transformer.config import (
    Gru4RecConfig,
    SequenceTrainingConfig,
    TransformerConfig,
)
from training.transformer.teacher import TeacherConfig
from training.two_stage.config import TwoStageConfig

#: The random shop. With 200 items a slate of 20 hits in 10 % of the questions.
ITEMS, SLATE = 200, 20
#: Sessions that are fitted, that early stopping sees, and of each held-out sample; 2 to 8 items.
FITTED, STOPPING, HELD_OUT, LONGEST = 2000, 200, 400, 8
#: Two looks at this level: an honest training is refused once in a million.
LEVEL = 0.999
#: Where there is no second look, the level of both together.
ONE_LOOK = 1 - (1 - LEVEL) ** 2


def check_random_data(kind: str, settings: BaseModel, rules: SessionRules, seed: int) -> Check:
    """Trains ``kind`` on random sessions and counts the hits on others.

    Three counts are taken: of the saved model on held-out sessions; of the training forward on
    them (a model that reads its target scores by chance once that is out of reach: only here does
    it show); and of the saved model on the sessions that early stopping saw, which no fit may
    learn from.
    """
    shrunk, changed = shrink(kind, settings)
    key = (kind, shrunk.model_dump_json(), rules, seed)
    if key not in _done:
        _done[key] = _check(kind, shrunk, rules, seed)
    check = _done[key]
    return Check(check.status, check.says, {**check.numbers, "settings changed": changed})


#: What was found of a kind and its settings: the training does not depend on the user's data, so
#: a job that fits the same model to window after window needs it once.
_done: dict[tuple[str, str, SessionRules, int], Check] = {}


def forget() -> None:
    """Lets the next check train again, whatever was found before (for code that changed)."""
    _done.clear()


def _check(kind: str, shrunk: BaseModel, rules: SessionRules, seed: int) -> Check:
    rng = np.random.default_rng([seed, 3])
    train, stopping = _sample(FITTED, rng, 0), _sample(STOPPING, rng, FITTED)
    samples = [_sample(HELD_OUT, rng, FITTED + STOPPING) for _ in range(2)]
    with tempfile.TemporaryDirectory(prefix="leakage.") as scratch:
        place = Path(scratch)
        fitted = fit_model(kind, FitData(train, stopping, ITEMS, place / "run"), shrunk)
        catalog = Catalog(
            tuple(f"{i:03}" for i in range(ITEMS)), np.bincount(train.rows, minlength=ITEMS)
        )
        save_bundle(place / "model", catalog, fitted.predictor, rules, data_fingerprint="random")
        recommender = Recommender.load(place / "model")
        looks = {"saved model": [_saved_hits(recommender, s) for s in samples]}
        if fitted.forward is not None:
            looks["training forward"] = [_forward_hits(fitted.forward, s) for s in samples]
        counts = {name: _judge(hits, LEVEL) for name, hits in looks.items()}
        counts["sessions of early stopping"] = _judge(
            [_saved_hits(recommender, stopping)], ONE_LOOK
        )
    numbers: dict[str, Any] = {
        "items": ITEMS,
        "slate": SLATE,
        "chance": SLATE / ITEMS,
        "fitted sessions": FITTED,
        "held-out sessions": HELD_OUT,
        **counts,
    }
    if fitted.forward is None:
        numbers["training forward"] = "not applicable: the training scores no whole sessions"
    missed = [name for name, count in counts.items() if not count["passed"]]
    if missed:
        look = counts[missed[0]]["looks"][-1]
        return Check(
            "failed",
            f"trained on random sessions, HR@{SLATE} of the {missed[0]} is {100 * look['hr']:.1f} "
            f"%, where chance is {100 * SLATE / ITEMS:.1f} % and "
            f"{100 * look['interval'][0]:.1f} to {100 * look['interval'][1]:.1f} % is allowed "
            f"({look['questions']:,} questions)",
            numbers,
        )
    look = counts["saved model"]["looks"][-1]
    return Check(
        "passed",
        f"HR@{SLATE} on random sessions {100 * look['hr']:.1f} %, chance "
        f"{100 * SLATE / ITEMS:.1f} %",
        numbers,
    )


def shrink(kind: str, settings: BaseModel) -> tuple[BaseModel, dict[str, list[Any]]]:
    """The settings for the random shop, and what was changed: name -> [from, to].

    Width, layers, batches and passes are those of a model that trains in seconds; the learning
    rate has a floor, dropout is off and no negatives are sampled, so that what can be learnt is
    learnt within 250 steps. (Sampled negatives are no part of a score, so they cannot leak; they
    only slow down what is learnt.)

    What leaks shows with these settings: XLNet with causal masking, whose positions read the item
    that they ask for, comes to a HR@20 of .76 to .79 in its training forward with the default
    settings, where chance is .10 and the interval ends at .125. Over nine other seeds and settings
    it came to .13 at least (a random item table learns slowest), and each was caught. With one
    layer, one head or sampled negatives it often had learnt nothing yet.
    """
    values = settings.model_dump()
    wanted: dict[str, Any] = {}
    if isinstance(settings, SequenceTrainingConfig):
        wanted = {
            "d_model": 32,
            "num_negatives": 0,
            "epochs": 4,
            "patience": 4,
            "batch_size": min(values["batch_size"], 32),
            "learning_rate": max(values["learning_rate"], 5e-3),
            # So small a model gains nothing from a second thread.
            "threads": 1,
            "dropout_embedding": 0.0,
        }
        if settings.teacher is not None:
            wanted["teacher"] = _shrink_teacher(settings.teacher)
        if isinstance(settings, TransformerConfig):
            wanted |= {"n_heads": 4, "n_layers": 2}
            wanted |= {"dropout_residual": 0.0, "dropout_attention": 0.0}
        elif isinstance(settings, Gru4RecConfig):
            wanted |= {"hidden_size": None, "n_layers": 1, "dropout_output": 0.0}
    elif kind == "item2vec":
        wanted = {"epochs": min(values["epochs"], 10)}
    elif isinstance(settings, TwoStageConfig):
        wanted = {"parts": _shrink_parts(settings), "holdout": max(settings.holdout, 0.2)}
    shrunk = settings.model_copy(update=wanted)
    smaller = shrunk.model_dump()
    changed = {k: [values[k], smaller[k]] for k in wanted if values[k] != smaller[k]}
    return shrunk, changed


def _shrink_teacher(teacher: TeacherConfig) -> TeacherConfig:
    smaller = shrink(teacher.kind, teacher.model())[0].model_dump()
    return teacher.model_copy(update={"settings": smaller, "folds": 2})


def _shrink_parts(settings: TwoStageConfig) -> dict[str, dict[str, Any]]:
    parts = {}
    for name in settings.parts:
        kind, of_part = settings.part(name)
        parts[name] = {"kind": kind, **shrink(kind, of_part)[0].model_dump()}
    return parts


def _sample(count: int, rng: np.random.Generator, after: int) -> Ragged:
    lengths = rng.integers(2, LONGEST + 1, count)
    return random_sessions(lengths, ITEMS, rng, start_ms=after * 1000)


def _saved_hits(recommender: Recommender, sessions: Ragged) -> NDArray[np.bool_]:
    """bool [Q]: whether the next item is in the slate, at every position."""
    starts = np.repeat(sessions.offsets[:-1], sessions.lengths)
    ends = np.arange(len(sessions.rows))
    asked = ends > starts
    slates = recommender.recommend_many(sessions.window(starts[asked], ends[asked]), SLATE)
    hits: NDArray[np.bool_] = (slates.rows == sessions.rows[ends[asked], None]).any(axis=1)
    return hits


def _forward_hits(forward: SessionForward, sessions: Ragged) -> NDArray[np.bool_]:
    asked: Asked = forward.training(sessions.newest(forward.longest), training_mode=False)
    rows, _ = top_k(asked.scores, SLATE)
    hits: NDArray[np.bool_] = (rows == asked.target[:, None]).any(axis=1)
    return hits


def _judge(samples: list[NDArray[np.bool_]], level: float) -> Mapping[str, Any]:
    """Whether one of the samples has a number of hits within the interval; later ones are looked
    at only after a miss, and every look is recorded."""
    looks = []
    for hits in samples:
        q, chance = len(hits), SLATE / ITEMS
        low, high = (int(binom.ppf(p, q, chance)) for p in ((1 - level) / 2, (1 + level) / 2))
        found = int(hits.sum())
        looks.append(
            {"questions": q, "hr": found / q, "interval": [low / q, high / q], "level": level}
        )
        if low <= found <= high:
            return {"passed": True, "looks": looks}
    return {"passed": False, "looks": looks}
