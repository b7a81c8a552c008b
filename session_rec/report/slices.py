"""Hit rate and MRR by what kind of question it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from session_rec.evaluation.metrics import gains, session_intervals
from session_rec.evaluation.outcomes import Outcomes
from session_rec.report.rows import Slice
from session_rec.sessions import SessionRules

METRICS = ("hr@20", "mrr@20")
#: Slices of a slicing by event type at most; the rarest types are taken together.
_MAX_TYPES = 7
#: An earlier time than this, in milliseconds (1980), is no clock: it counts something else.
_FIRST_CLOCK_MS = 315_532_800_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Slicing:
    """A division of Q questions.

    Attributes:
        by: what they are divided by.
        labels: names of the slices, none of them empty.
        code: int64 [Q], index into ``labels``.
        says: what the slices are, in a sentence.
    """

    by: str
    labels: tuple[str, ...]
    code: NDArray[np.int64]
    says: str

    @classmethod
    def of(
        cls, by: str, labels: Sequence[str], code: NDArray[np.integer[Any]], says: str
    ) -> Slicing:
        """The slicing without the labels that no question has.

        >>> s = Slicing.of("size", ["small", "medium", "large"], np.array([2, 0, 2]), "")
        >>> s.labels, s.code.tolist()
        (('small', 'large'), [1, 0, 1])
        """
        used, code = np.unique(code, return_inverse=True)
        return cls(by, tuple(labels[i] for i in used.tolist()), code.astype(np.int64), says)


def slicings(outcomes: Outcomes) -> tuple[list[Slicing], dict[str, str]]:
    """All divisions of the questions, and for each that cannot be made, why not.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> found, not_made = slicings(toy_outcomes(toy_recommender("pear plum"), "plum pear plum"))
    >>> {s.by: s.labels for s in found}["repeated or new target"]
    ('new', 'repeated')
    >>> list(not_made)  # the clicks are of 1970
    ['time of day']
    """
    by_time = _time_of_day(outcomes)
    found = [
        _context_length(outcomes),
        _popularity(outcomes),
        _repeated(outcomes),
        _unknown_items(outcomes),
        _event_type(outcomes),
    ]
    if isinstance(by_time, str):
        return found, {"time of day": by_time}
    return [*found, by_time], {}


def slice_rows(slicing: Slicing, models: Mapping[str, Outcomes]) -> list[Slice]:
    """The figures of every slice and model, 95 % intervals by resampling the slice's sessions.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> outcomes = toy_outcomes(toy_recommender("pear plum pear"), "plum pear plum")
    >>> slicing = Slicing.of("target", ["pear", "plum"], np.array([0, 1]), "What came next.")
    >>> [(r.slice, r.value) for r in slice_rows(slicing, {"m": outcomes}) if r.metric == "mrr@20"]
    [('pear', 1.0), ('plum', 0.5)]
    """
    rows = []
    for s, label in enumerate(slicing.labels):
        inside = np.flatnonzero(slicing.code == s)
        values = {
            (name, metric): value
            for name, o in models.items()
            for metric, value in gains(o.rank[inside], (20,)).items()
            if metric in METRICS
        }
        session = next(iter(models.values())).session[inside]
        keyed = {f"{i}": v for i, v in enumerate(values.values())}
        bounds = session_intervals(keyed, session, seed=0)
        sessions = len(np.unique(session))
        for i, ((name, metric), value) in enumerate(values.items()):
            low, high = bounds[f"{i}"]
            rows.append(
                Slice(
                    slicing.by, label, name, metric, float(value.mean()), low, high,
                    len(inside), sessions,
                )
            )  # fmt: skip
    return rows


def _bands(values: NDArray[np.integer[Any]], last: Sequence[float]) -> NDArray[np.int64]:
    """Which band each value is in; ``last`` are the greatest values of all bands but the last."""
    return np.searchsorted(np.asarray(last), values, side="left").astype(np.int64)


def _context_length(o: Outcomes) -> Slicing:
    return Slicing.of(
        "context length",
        ("1", "2", "3", "4-5", "6-10", "11-20", "21-50", "51 and more"),
        _bands(o.context_length, (1, 2, 3, 5, 10, 20, 50)),
        "Events that the model was told of, unknown items included.",
    )


def _popularity(o: Outcomes) -> Slicing:
    n = o.header.protocol.items
    band = _bands(o.target_popularity, [n * share for share in (0.01, 0.05, 0.2, 0.5)])
    return Slicing.of(
        "target popularity",
        ("top 1 %", "1-5 %", "5-20 %", "20-50 %", "rarer half", "unknown"),
        np.where(o.target_known, band, 5),
        "Where the true next item stands in the catalog by training clicks. What is not in the "
        "catalog counts as a miss.",
    )


def _repeated(o: Outcomes) -> Slicing:
    return Slicing.of(
        "repeated or new target",
        ("new", "repeated"),
        o.target_repeated.astype(np.int64),
        "Whether the true next item already stands in the context.",
    )


def _unknown_items(o: Outcomes) -> Slicing:
    some = (o.unknown_items > 0).astype(np.int64)
    return Slicing.of(
        "unknown items",
        ("none", "some", "all"),
        some + (o.unknown_items == o.context_length),
        "Items of the context that the catalog lacks. Where it lacks all, the most popular items "
        "are shown.",
    )


def _event_type(o: Outcomes) -> Slicing:
    count = np.bincount(o.type, minlength=len(o.type_names))
    order = sorted(range(len(count)), key=lambda t: (-count[t], o.type_names[t]))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    labels = [o.type_names[t] for t in order]
    if len(labels) > _MAX_TYPES:
        place = np.minimum(place, _MAX_TYPES - 1)
        labels[_MAX_TYPES - 1 :] = [f"{len(labels) - _MAX_TYPES + 1} rarer types"]
    return Slicing.of(
        "event type", labels, place[o.type], "Type of the newest event of the context."
    )


def _time_of_day(o: Outcomes) -> Slicing | str:
    rules = SessionRules.from_dict(o.header.protocol.rules)
    if rules.as_given:
        return (
            f"The rules '{rules.name}' take sessions as given, whatever their ts counts: it need "
            "not be a clock."
        )
    if len(o) and o.ts.min() < _FIRST_CLOCK_MS:
        return (
            f"The ts of these events is no clock of milliseconds since 1970: the least is "
            f"{int(o.ts.min()):,}."
        )
    return Slicing.of(
        "time of day",
        [f"{h:02}-{h + 3:02} h" for h in range(0, 24, 3)],
        o.ts // _HOUR_MS % 24 // 3,
        "Time of the newest event of the context, UTC.",
    )
