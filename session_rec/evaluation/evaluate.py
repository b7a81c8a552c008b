"""Scores a saved model on recorded sessions: every position, all items ranked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from session_rec.catalog import UNKNOWN
from session_rec.errors import DataError
from session_rec.evaluation.confidence import first_item_confidence
from session_rec.evaluation.metrics import CUTOFFS, gains, pessimistic_ranks, session_intervals
from session_rec.evaluation.protocol import Protocol
from session_rec.event_log import Positions, Questions, SessionLog
from session_rec.recommender import MICRO_BATCH, Recommender
from session_rec.sessions import SessionRules

#: Called with the number of questions just answered.
Progress = Callable[[int], None]

#: Length of the slates that coverage and shown popularity are measured on.
SLATE = 20


@dataclass(frozen=True)
class Shown:
    """What a model showed for each of Q questions.

    Attributes:
        rows: int32 [Q, 20], catalog rows, best first; -1 where fewer could be shown.
        score: float32 [Q], of the first item; -inf where none was shown.
        confidence: float32 [Q], the model's probability of the first item
            (:func:`session_rec.evaluation.confidence.first_item_confidence`).

    >>> shown = Shown.empty(questions=2)
    >>> shown.rows.shape, shown.score, shown.confidence
    ((2, 20), array([-inf, -inf], dtype=float32), array([0., 0.], dtype=float32))
    """

    rows: NDArray[np.int32]
    score: NDArray[np.float32]
    confidence: NDArray[np.float32]

    @classmethod
    def empty(cls, questions: int) -> Shown:
        """Room for so many questions."""
        return cls(
            np.full((questions, SLATE), UNKNOWN, np.int32),
            np.full(questions, -np.inf, np.float32),
            np.zeros(questions, np.float32),
        )


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model under one protocol.

    Attributes:
        model: name of the model.
        protocol: what the figures mean.
        metrics: ``hr@20`` and the like, as fractions.
        intervals: 95 % interval of each metric.
        coverage: share of the catalog that stands in at least one slate of 20.
        shown_popularity: mean over all shown items of their popularity rank, as a fraction of
            the catalog: 0 shows only the most clicked item, 0.5 is what chance shows.
        fallback: share of contexts without a known item.
        unknown_targets: share of answers outside the catalog.
        seconds: time spent in scoring and ranking.
        ranks: int64 [Q], rank of each answer; for paired comparison.
        session: int64 [Q], the session of each question.
        shown: what was shown for each question, where it was asked to be kept.
    """

    model: str
    protocol: Protocol
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    coverage: float
    shown_popularity: float
    fallback: float
    unknown_targets: float
    seconds: float
    ranks: NDArray[np.int64]
    session: NDArray[np.int64]
    shown: Shown | None = None

    def to_dict(self) -> dict[str, Any]:
        """The figures with their protocol as JSON-able values, without the single ranks."""
        return {
            "model": self.model,
            "metrics": self.metrics,
            "intervals": {k: list(v) for k, v in self.intervals.items()},
            f"coverage@{SLATE}": self.coverage,
            f"shown_popularity@{SLATE}": self.shown_popularity,
            "fallback": self.fallback,
            "unknown_targets": self.unknown_targets,
            "protocol": self.protocol.to_dict(),
        }


def evaluate(
    recommender: Recommender,
    log: SessionLog,
    *,
    name: str,
    split: str,
    rules: SessionRules | None = None,
    min_prefix: int = 1,
    positions: Positions = "every",
    since: int | None = None,
    keep_shown: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Ranks the next item of every position of ``log``, under ``rules`` (default: the model's).

    ``positions`` and ``since`` choose among them as :meth:`SessionLog.questions` says.
    With ``keep_shown`` the slates are kept too, about 90 bytes per question.

    Raises:
        DataError: no position of the log has a next event.
        NonFiniteScoreError: the model gave NaN or infinity.

    >>> from session_rec.toy import toy_log, toy_recommender
    >>> recommender, log = toy_recommender("fig fig pear plum"), toy_log("plum fig", "fig pear")
    >>> result = evaluate(recommender, log, name="toy", split="toy")
    >>> result.ranks, result.metrics["hr@1"]  # pear ties with plum: rank 3, not 2
    (array([1, 3]), 0.5)
    """
    rules = rules or recommender.rules
    questions = log.questions(
        recommender.catalog, rules, min_prefix, positions=positions, since=since
    )
    if len(questions) == 0:
        raise DataError("no session has two events in a row: there is nothing to evaluate")
    begin = perf_counter()
    kept = Shown.empty(len(questions)) if keep_shown else None
    ranks, shown = rank_all(recommender, questions, progress, kept)
    seconds = perf_counter() - begin
    values = gains(ranks, CUTOFFS)
    n = len(recommender.catalog)
    popularity_rank = np.empty(n)
    popularity_rank[recommender.catalog.by_popularity] = np.arange(n)
    unknown = questions.events.rows < 0
    known_before = np.concatenate(([0], np.cumsum(~unknown)))
    return Evaluation(
        name,
        Protocol.of(log, questions, recommender.catalog, rules, split, min_prefix),
        {k: float(v.mean()) for k, v in values.items()},
        session_intervals(values, questions.session, seed=0),
        float(np.count_nonzero(shown)) / n,
        float((shown * popularity_rank).sum() / max(shown.sum(), 1)) / n,
        float(np.mean(known_before[questions.ends] == known_before[questions.starts])),
        float(np.mean(questions.targets < 0)),
        seconds,
        ranks,
        questions.session,
        kept,
    )


def rank_all(
    recommender: Recommender,
    questions: Questions,
    progress: Progress | None = None,
    keep: Shown | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rank of every answer, int64 [Q], and how often each item was shown, int64 [N].

    What was shown goes into ``keep``, if given.

    >>> from session_rec.toy import toy_log, toy_recommender
    >>> recommender, log = toy_recommender("fig fig pear plum"), toy_log("plum fig", "fig pear")
    >>> rank_all(recommender, log.questions(recommender.catalog, recommender.rules))
    (array([1, 3]), array([2, 2, 2]))
    """
    ranks = np.empty(len(questions), np.int64)
    shown = np.zeros(len(recommender.catalog), np.int64)
    for i in range(0, len(questions), MICRO_BATCH):
        batch = slice(i, min(i + MICRO_BATCH, len(questions)))
        contexts = questions.contexts(batch)
        scores = recommender.score(contexts)
        rows, best = recommender.best(scores, contexts, SLATE)
        shown += np.bincount(rows[rows >= 0], minlength=len(shown))
        ranks[batch] = pessimistic_ranks(scores, questions.targets[batch])
        if keep is not None:
            known = contexts.keep(contexts.rows != UNKNOWN).lengths > 0
            keep.rows[batch], keep.score[batch] = rows, best[:, 0]
            keep.confidence[batch] = first_item_confidence(
                scores, best[:, 0], known & recommender.predictor.logits
            )
        if progress is not None:
            progress(len(contexts))
    return ranks, shown
