"""A shop, its models, and the test's own view of every position of the live log."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from parity_formulas import MODELS, Formulas
from parity_oracle import Key
from parity_rows import MAX_LENGTH, Click, newest_context, recorded_sessions
from parity_shop import Shop, Size, make_shop

from session_rec import Recommender
from session_rec.evaluation.evaluate import evaluate
from session_rec.evaluation.replay import Answers, replay
from session_rec.event_log import Questions, SessionLog, read_sessions
from training.train import TrainConfig, train

K = 20


@dataclass
class Scored:
    """One model's in-process answers: replayed event by event, and evaluated in columns."""

    recommender: Recommender
    log: SessionLog
    answers: Answers
    questions: Questions
    ranks: NDArray[np.int64]


@dataclass
class Case:
    """What all tests share.

    Attributes:
        keys: the event at each position of the prepared log.
        position: where each event stands in it.
        contexts: the context that each event ends, cut from the raw rows.
    """

    shop: Shop
    models: Path
    log: SessionLog
    formulas: Formulas
    keys: list[Key]
    position: dict[Key, int]
    contexts: dict[Key, list[Click]]
    _scored: dict[tuple[str, int | None], Scored] = field(default_factory=dict)

    def scored(self, kind: str, sessions: int | None = None) -> Scored:
        """Replayed and evaluated once, whoever asks; the first session ids only, if so many are
        enough."""
        if (kind, sessions) not in self._scored:
            recommender = Recommender.load(self.models / kind)
            log = self.log.first_sessions(sessions or len(self.log.session_ids))
            self._scored[kind, sessions] = Scored(
                recommender,
                log,
                replay(recommender, log, k=K),
                log.questions(recommender.catalog, recommender.rules),
                evaluate(recommender, log, name=kind, split="test").ranks,
            )
        return self._scored[kind, sessions]

    def items(self, key: Key) -> list[str]:
        """The items of the context that an event ends."""
        return [click.item for click in self.contexts[key]]

    def sample(self, keys: Iterable[Key], each: int = 25) -> list[Key]:
        """Some events of every sort that could go wrong, and some of all."""
        rng = random.Random(5)
        count = self.formulas.count
        sorts: dict[str, list[Key]] = {}
        for key in keys:
            items = self.items(key)
            known = [i for i in items if i in count]
            sorts.setdefault("any", []).append(key)
            for name, holds in (
                ("no item known", not known),
                ("some unknown", 0 < len(known) < len(items)),
                ("repeated", len(set(items)) < len(items)),
                ("full", len(items) == MAX_LENGTH),
                ("one click", len(items) == 1),
                ("of a return", key[0] in self.returns),
            ):
                if holds:
                    sorts.setdefault(name, []).append(key)
        assert len(sorts) == 7 and min(map(len, sorts.values())) >= each, sorts.keys()
        return sorted({k for found in sorts.values() for k in rng.sample(found, each)})

    @cached_property
    def returns(self) -> set[str]:
        """Session ids in which a pause begins a new session: more than one of their contexts is of
        a single click."""
        ones = Counter(key[0] for key, context in self.contexts.items() if len(context) == 1)
        return {session for session, n in ones.items() if n > 1}


def make_case(directory: Path, size: Size) -> Case:
    """Generates, prepares, trains every kind of model and cuts the contexts."""
    shop, models = make_shop(directory, size), directory / "models"
    # The certificate takes longer than all else here, and has tests of its own.
    with patch("training.train.certify", return_value=None):
        for kind, settings in MODELS.items():
            train(kind, TrainConfig(sessions=shop.prepared, out=models / kind, model=settings))
    log = read_sessions(shop.prepared / "test.parquet")
    keys = [
        (log.session_ids[s], log.item_ids[i], ts, log.type_names[t])
        for s, i, ts, t in zip(
            log.session.tolist(), log.item.tolist(), log.ts.tolist(), log.type.tolist(), strict=True
        )
    ]
    contexts = {
        (session, click.item, click.ts, click.type): newest_context(clicks[: n + 1])
        for session, clicks in recorded_sessions(shop.live).items()
        for n, click in enumerate(clicks)
    }
    return Case(
        shop,
        models,
        log,
        Formulas(shop.prepared, models),
        keys,
        {key: p for p, key in enumerate(keys)},
        contexts,
    )
