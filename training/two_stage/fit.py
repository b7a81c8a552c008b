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
from training.two_stage.questions import RerankingData, reranking_data, together

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
        train: sessions in chronological order; the newest teach the re-ranker.
        valid: sessions for the early stopping of the parts when they see all of ``train``.
        fit_part: trains a part.
        say: told what is under way.
    """
    for name in config.parts:
        config.part(name)  # a wrong setting is said now, not after an hour
    data = _held_out_questions(train, n_items, config, fit_part, say)
    say(f"the re-ranker, on {data.asked} questions of the newest sessions")
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


def _held_out_questions(
    train: Ragged,
    n_items: int,
    config: TwoStageConfig,
    fit_part: FitPart,
    say: Callable[[str], None],
) -> RerankingData:
    """What the re-ranker learns from: questions of the newest slices, each as it looks to parts
    that were trained on the sessions before it."""
    slices: list[RerankingData] = []
    left = config.max_questions
    for number, (begin, end) in enumerate(_slices(len(train), config), 1):
        if left <= config.max_questions / 2:
            break  # what an older slice adds is not worth training all parts once more
        earlier = train.take(np.arange(begin))
        parts = {}
        for name in config.parts:
            say(f"{name}: without the newest {len(train) - begin} sessions")
            run = "without-newest" if number == 1 else f"without-newest-{number}"
            parts[name] = fit_part(name, earlier, Ragged.from_lists([]), run).predictor
        contexts, targets = prefixes(train.take(np.arange(begin, end)), _MAX_LENGTH)
        if len(targets) > left:
            drawn = np.random.default_rng(config.seed).choice(len(targets), left, replace=False)
            drawn.sort()
            contexts, targets = contexts.take(drawn), targets[drawn]
        left -= len(targets)
        facts = ItemFacts.fit(earlier, n_items)
        slices.append(reranking_data(parts, contexts, targets, facts, config.depth))
    return together(slices)


def _slices(sessions: int, config: TwoStageConfig) -> list[tuple[int, int]]:
    """Where each slice begins and ends, the newest first: that one always, older ones as long as
    half of the sessions stand before them."""
    held = round(sessions * config.holdout)
    ends = [sessions - i * held for i in range(config.slices if held else 1)]
    return [(end - held, end) for i, end in enumerate(ends) if i == 0 or end - held >= sessions / 2]
