"""Runs recorded sessions through the engine event by event, as a live system would see them.

Open loop: every event has a scheduled time, whether or not the engine keeps up, and latency counts
from it. A closed loop would slow the shoppers down and hide the queue (Tene 2013, "coordinated
omission").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

import numpy as np
from numpy.typing import NDArray

from session_rec.errors import DataError
from session_rec.evaluation.metrics import NOT_RANKED, gains, session_intervals
from session_rec.evaluation.protocol import Protocol
from session_rec.event_log import SessionLog
from session_rec.events import type_code
from session_rec.recommender import MICRO_BATCH, Recommender
from session_rec.schedule import Schedule, schedule
from session_rec.sessions import SessionBuffer, SessionRules


@dataclass
class Answers:
    """What came back for each event of a log.

    Attributes:
        slates: object [T], item ids best first, or None where no prediction came.
        scores: object [T], their scores.
        latency: float64 [T], seconds from the scheduled time; NaN where no prediction came.
        seconds: from the first scheduled event to the last prediction.
    """

    slates: NDArray[np.object_]
    scores: NDArray[np.object_]
    latency: NDArray[np.float64]
    seconds: float = 0.0

    @classmethod
    def empty(cls, events: int) -> Answers:
        """No answer yet to any of ``events`` events."""
        return cls(
            np.full(events, None, object), np.full(events, None, object), np.full(events, np.nan)
        )


def replay(
    recommender: Recommender,
    log: SessionLog,
    *,
    rules: SessionRules | None = None,
    k: int = 20,
    plan: Schedule | None = None,
    progress: Callable[[int], None] | None = None,
) -> Answers:
    """Plays ``log`` through the engine in this process, in micro-batches of what is due.

    Args:
        plan: when each event is due; by default all at once.

    >>> from session_rec.toy import toy_log, toy_recommender
    >>> answers = replay(toy_recommender("pear plum pear"), toy_log("plum pear", "kiwi"), k=1)
    >>> answers.slates.tolist()
    [['pear'], ['pear'], ['pear']]
    """
    rules = rules or recommender.rules
    plan = plan or schedule(log)
    buffers = [SessionBuffer(rules) for _ in log.session_ids]
    answers = Answers.empty(len(log))
    items, types = log.item_ids, log.type_names
    begin = perf_counter()
    done = 0
    while done < len(log):
        now = perf_counter() - begin
        wait = plan.at[done] - now
        if wait > 0:
            sleep(wait)
            now = perf_counter() - begin
        due = int(np.searchsorted(plan.at, now, side="right"))
        end = min(max(due, done + 1), done + MICRO_BATCH)
        contexts = []
        for p in plan.order[done:end].tolist():
            buffer = buffers[log.session[p]]
            seq = int(log.seq[p])
            buffer.add(
                items[log.item[p]], int(log.ts[p]), types[log.type[p]], p, None if seq < 0 else seq
            )
            contexts.append(buffer.context())
        slates = recommender.recommend_many(
            recommender.encode(
                [[e.item for e in c] for c in contexts],
                [[e.clock for e in c] for c in contexts],
                [[type_code(e.type) for e in c] for c in contexts],
            ),
            k,
        )
        finished = perf_counter() - begin
        for b, p in enumerate(plan.order[done:end].tolist()):
            answers.slates[p] = slates.items(b)
            answers.scores[p] = slates.scores[b]
        answers.latency[plan.order[done:end]] = finished - plan.at[done:end]
        if progress is not None:
            progress(end - done)
        done = end
    answers.seconds = perf_counter() - begin
    return answers


@dataclass(frozen=True)
class ReplayReport:
    """Quality and speed of a replay.

    Attributes:
        metrics: ``hr@20`` and the like over all questions, with 95 % ``intervals``.
        timely_hr: hit rate at 20 in which a prediction that came later than the next recorded
            click is a miss.
        missing: questions for which no prediction came; they are misses.
        latency_ms: p50, p90, p99 of scheduled event to prediction, milliseconds.
        latency_histogram: of the same (:func:`latency_histogram`).
        events_per_second: events over the time of the whole replay.
        events: how many were played.
        model: 16 hex digits that name the model's directory.
    """

    protocol: Protocol
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    timely_hr: float
    missing: int
    latency_ms: dict[str, float]
    latency_histogram: list[tuple[float, float, int]]
    events_per_second: float
    events: int
    model: str

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {
            "metrics": self.metrics,
            "intervals": {k: list(v) for k, v in self.intervals.items()},
            "timely_hr@20": self.timely_hr,
            "missing": self.missing,
            "latency_ms": self.latency_ms,
            "latency_histogram": [list(bin_) for bin_ in self.latency_histogram],
            "events_per_second": self.events_per_second,
            "events": self.events,
            "model": self.model,
            "protocol": self.protocol.to_dict(),
        }


def latency_histogram(milliseconds: NDArray[np.float64]) -> list[tuple[float, float, int]]:
    """(from, below, how many) of ten bins a decade, from the lowest that holds one to the highest.

    The edges are powers of ten and the same for every replay, so histograms add up. What is below
    0.001 ms counts as that.

    >>> latency_histogram(np.array([1.0, 1.1, 1.7]))
    [(1.0, 1.259, 2), (1.259, 1.585, 0), (1.585, 1.995, 1)]
    """
    if not len(milliseconds):
        return []
    exact = 10.0 ** (np.arange(-30, 91) / 10)
    edges = np.array([float(f"{e:.4g}") for e in exact])
    place = np.clip(np.searchsorted(edges, milliseconds, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(place)
    return [
        (float(edges[i]), float(edges[i + 1]), int(counts[i]))
        for i in range(int(place.min()), len(counts))
    ]


def summarise(
    recommender: Recommender, log: SessionLog, answers: Answers, rules: SessionRules, split: str
) -> ReplayReport:
    """Quality by the questions of ``evaluate``, with speed beside it.

    Ranks are read from the slates: among the shown items, ties count against the target.

    >>> from session_rec.toy import toy_log, toy_recommender
    >>> model, log = toy_recommender("plum pear pear"), toy_log("plum pear", "pear plum")
    >>> report = summarise(model, log, replay(model, log), model.rules, "test")
    >>> report.metrics["hr@1"], report.missing, report.events
    (0.5, 0, 4)
    """
    questions = log.questions(recommender.catalog, rules)
    if len(questions) == 0:
        raise DataError("no session has two events in a row: there is nothing to measure")
    ranks = np.full(len(questions), NOT_RANKED, np.int64)
    missing = 0
    ids = recommender.catalog.item_ids
    for q, (p, target) in enumerate(
        zip(questions.position.tolist(), questions.targets.tolist(), strict=True)
    ):
        slate = answers.slates[p]
        if slate is None:
            missing += 1
        elif target >= 0 and ids[target] in slate:
            scores = np.asarray(answers.scores[p])[: len(slate)]
            ranks[q] = np.count_nonzero(scores >= scores[slate.index(ids[target])])
    values = gains(ranks)
    gap = (log.ts[questions.position + 1] - log.ts[questions.position]) / 1000.0
    with np.errstate(invalid="ignore"):
        timely = values["hr@20"] * (answers.latency[questions.position] <= gap)
    latency = answers.latency[~np.isnan(answers.latency)] * 1000
    quantiles = np.quantile(latency, [0.5, 0.9, 0.99]) if len(latency) else np.full(3, np.nan)
    return ReplayReport(
        Protocol.of(log, questions, recommender.catalog, rules, split),
        {k: float(v.mean()) for k, v in values.items()},
        session_intervals(values, questions.session, seed=0),
        float(timely.mean()),
        missing,
        dict(zip(("p50", "p90", "p99"), map(float, quantiles), strict=True)),
        latency_histogram(latency),
        len(log) / answers.seconds if answers.seconds else float("nan"),
        len(log),
        recommender.fingerprint,
    )
