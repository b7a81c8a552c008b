"""Trains the parts, fits the re-ranker on sessions that they have not seen, trains them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from session_rec.predictors.item_facts import ItemFacts
from session_rec.predictors.two_stage import TwoStage
from session_rec.ragged import Ragged
from training.transformer.batches import prefixes
from training.two_stage.config import TwoStageConfig
from training.two_stage.network import fit_reranker
from training.two_stage.questions import reranking_data

if TYPE_CHECKING:
    from training.fitters import Fitted

#: Fits one part: its name, the sessions, those for early stopping, what its run is called.
FitPart = Callable[[str, Ragged, Ragged, str], "Fitted"]

#: What the run of a part on all sessions is called.
ALL_SESSIONS = "all"
#: Newest items of a context that the re-ranker reads.
_MAX_LENGTH = 20


def fit(
    train: Ragged,
    valid: Ragged,
    n_items: int,
    config: TwoStageConfig,
    fit_part: FitPart,
    say: Callable[[str], None],
) -> tuple[TwoStage, dict[str, Any], dict[str, Fitted]]:
    """The model, a record of its training, and the parts that were trained on all sessions.

    Args:
        train: sessions in chronological order; the newest share ``config.holdout`` teaches the
            re-ranker.
        valid: sessions for the early stopping of the parts when they see all of ``train``.
        fit_part: trains a part.
        say: told what is under way.
    """
    for name in config.parts:
        config.part(name)  # a wrong setting is said now, not after an hour
    held = round(len(train) * config.holdout)
    cut = len(train) - held
    earlier, newest = train.take(np.arange(cut)), train.take(np.arange(cut, len(train)))
    nothing = Ragged.from_lists([])
    first = {}
    for name in config.parts:
        say(f"{name}: without the newest {held} sessions")
        first[name] = fit_part(name, earlier, nothing, "without-newest").predictor
    contexts, targets = prefixes(newest, _MAX_LENGTH)
    if len(targets) > config.max_questions:
        drawn = np.random.default_rng(config.seed).choice(
            len(targets), config.max_questions, replace=False
        )
        drawn.sort()
        contexts, targets = contexts.take(drawn), targets[drawn]
    say(f"the re-ranker, on {len(targets)} questions of the newest sessions")
    data = reranking_data(first, contexts, targets, ItemFacts.fit(earlier, n_items), config.depth)
    reranker = fit_reranker(data, config)
    parts = {}
    for name in config.parts:
        say(f"{name}: on all sessions")
        parts[name] = fit_part(name, train, valid, ALL_SESSIONS)
    record = {
        "deterministic": all(part.record["deterministic"] for part in parts.values()),
        "reranker": {
            "questions": data.asked,
            "candidate_recall": round(data.recall, 4),
        },
        "parts": {name: part.record for name, part in parts.items()},
    }
    model = TwoStage(
        {name: part.predictor for name, part in parts.items()},
        reranker,
        ItemFacts.fit(train, n_items),
        config.depth,
        _MAX_LENGTH,
    )
    return model, record, parts
