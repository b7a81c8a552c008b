"""Is one model better than another? Paired question by question, sessions resampled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from session_rec.errors import ConfigError, DataError
from session_rec.evaluation.comparison import Comparison, Difference
from session_rec.evaluation.metrics import gains
from session_rec.evaluation.outcomes import Outcomes
from session_rec.evaluation.significance import Progress, bootstrap_interval, holm, sign_flip_p

METRICS = ("hr@20", "mrr@20")
#: Fields of a protocol that say what was ranked, not what was asked.
_CANDIDATES = ("items", "catalog")


class UnlikeProtocolsError(DataError):
    """Two sets of figures were not measured alike."""


def compare(
    a: Outcomes,
    b: Outcomes,
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    unlike_candidates: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """How much better ``b`` is than ``a``, with interval and test.

    Args:
        metrics: ``hr@K``, ``mrr@K`` or ``ndcg@K`` for any K.
        resamples: of the interval, and again of the test.
        unlike_candidates: allow that the two ranked unlike sets of items; the result says so.
        progress: told of ``2 * resamples`` steps in all.

    Raises:
        UnlikeProtocolsError: they were not measured alike; each field that differs is named.
        DataError: they do not answer the same questions.
        ConfigError: no such metric.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> asked = "fig pear", "plum pear"
    >>> a = toy_outcomes(toy_recommender("fig fig pear plum"), *asked, name="A")
    >>> b = toy_outcomes(toy_recommender("pear pear fig plum"), *asked, name="B")
    >>> print(*compare(a, b, metrics=["hr@1"], resamples=100).sentences())
    B finds 100.00 points more of the next items in its first 1 than A (100.00 against 0.00; ...
    """
    names = _two_names(a, b)
    unlike = check_comparable(a, b, unlike_candidates)
    per_a, per_b = _per_question(a.rank, metrics), _per_question(b.rank, metrics)
    s = len(a.session_ids)
    sizes = np.bincount(a.session, minlength=s).astype(np.float64)
    sums = np.column_stack(
        [np.bincount(a.session, d, s).astype(np.float64) for d in (per_b - per_a).T]
    )
    # What adds up to nothing but rounding is no difference.
    sums[np.abs(sums) < 1e-12] = 0.0
    bounds = bootstrap_interval(
        sums, sizes, resamples=resamples, seed=seed, level=level, progress=progress
    )
    p, exact = sign_flip_p(sums, resamples=resamples, seed=seed + 1, progress=progress)
    differences = [
        Difference(
            metric,
            float(per_a[:, m].mean()),
            float(per_b[:, m].mean()),
            float(sums[:, m].sum() / len(a)),
            float(bounds[0, m]),
            float(bounds[1, m]),
            float(p[m]),
            float(p[m]),
            bool(exact[m]),
            int((sums[:, m] > 0).sum()),
            int((sums[:, m] < 0).sum()),
            int((sums[:, m] == 0).sum()),
        )
        for m, metric in enumerate(metrics)
    ]
    return Comparison(*names, a.header.protocol, unlike, tuple(differences), level, resamples, seed)


def compare_all(
    first: Outcomes,
    others: Sequence[Outcomes],
    **settings: Any,
) -> list[Comparison]:
    """Each of ``others`` against ``first``, p-values adjusted by Holm's method, metric by metric.

    ``settings`` and errors are those of :func:`compare`.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> asked = "fig pear", "plum pear"
    >>> a = toy_outcomes(toy_recommender("fig fig pear plum"), *asked)
    >>> b = toy_outcomes(toy_recommender("pear pear fig plum"), *asked)
    >>> found = compare_all(a, [b, b], metrics=["hr@1"], resamples=100)
    >>> [(c.differences[0].p, c.differences[0].p_adjusted) for c in found]
    [(0.5, 1.0), (0.5, 1.0)]
    """
    found = [compare(first, other, **settings) for other in others]
    if not found:
        return []
    adjusted = [holm([c.differences[m].p for c in found]) for m in range(len(found[0].differences))]
    return [
        replace(
            c,
            comparisons=len(found),
            differences=tuple(
                msgspec.structs.replace(d, p_adjusted=adjusted[m][i])
                for m, d in enumerate(c.differences)
            ),
        )
        for i, c in enumerate(found)
    ]


def check_comparable(
    a: Outcomes, b: Outcomes, unlike_candidates: bool = False
) -> dict[str, tuple[Any, Any]]:
    """The fields of the protocol that differ: none, or what was ranked where that is allowed.

    Raises:
        UnlikeProtocolsError: they were not measured alike; each field that differs is named.
        DataError: they do not answer the same questions.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> models = map(toy_recommender, ("fig fig pear", "fig pear", "fig"))
    >>> a, b, few = (toy_outcomes(model, "pear fig") for model in models)
    >>> check_comparable(a, b)
    {}
    >>> check_comparable(a, few, unlike_candidates=True)["items"]
    (2, 1)
    """
    names = _two_names(a, b)
    unlike = a.header.protocol.unlike(b.header.protocol)
    _check_alike(names, unlike, unlike_candidates)
    _check_questions(names, a, b)
    return unlike


def _two_names(a: Outcomes, b: Outcomes) -> tuple[str, str]:
    """The models' names; with the fingerprints where the names are equal, and by their place where
    it is one model."""
    if a.header.model != b.header.model:
        return a.header.model, b.header.model
    told = [o.header.fingerprint[:8] for o in (a, b)]
    if told[0] == told[1]:
        told = ["the first", "the second"]
    one, other = (f"{a.header.model} ({word})" for word in told)
    return one, other


def _check_alike(
    names: tuple[str, str], unlike: dict[str, tuple[Any, Any]], unlike_candidates: bool
) -> None:
    refused = {k: v for k, v in unlike.items() if not (unlike_candidates and k in _CANDIDATES)}
    if not refused:
        return
    said = "; ".join(
        f"{k} is {x!r} of {names[0]}, {y!r} of {names[1]}" for k, (x, y) in refused.items()
    )
    if set(refused) <= set(_CANDIDATES):
        advice = (
            "ranks among fewer items are better; train both on the same items, or let 'compare' "
            "allow it by --unlike-candidates"
        )
    else:
        advice = "evaluate both alike"
    raise UnlikeProtocolsError(f"these figures do not compare: {said}: {advice}")


def _check_questions(names: tuple[str, str], a: Outcomes, b: Outcomes) -> None:
    one, other = a.columns(), b.columns()
    for column in ("session_id", "position", "ts", "target"):
        x, y = one[column], other[column]
        if len(x) != len(y):
            raise DataError(
                f"{names[0]} answers {len(x):,} questions, {names[1]} {len(y):,}: "
                "evaluate both on the same sessions"
            )
        unlike = np.flatnonzero(x != y)
        if len(unlike):
            q = int(unlike[0])
            raise DataError(
                f"{names[0]} and {names[1]} do not answer the same questions: {column} of "
                f"question {q} is {x[q]} and {y[q]}; evaluate both on the same sessions"
            )


def _per_question(ranks: NDArray[np.int64], metrics: Sequence[str]) -> NDArray[np.float64]:
    """float64 [Q, M]: what each question adds to each metric."""
    columns = []
    for metric in metrics:
        match = re.fullmatch(r"(?:hr|mrr|ndcg)@([1-9]\d{0,8})", metric)
        if match is None:
            raise ConfigError(
                f"there is no metric {metric!r}: give hr@K, mrr@K or ndcg@K, such as hr@20"
            )
        columns.append(gains(ranks, (int(match[1]),))[metric])
    return np.column_stack(columns)
