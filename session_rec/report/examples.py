"""Sessions to look at, chosen by lot so that they show what is usual."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from session_rec.evaluation.metrics import NOT_RANKED
from session_rec.evaluation.outcomes import Outcomes
from session_rec.report.rows import Click

#: Questions that an example session has.
FEWEST, MOST = 3, 8
#: How much of a slate an example shows.
TOP = 5


class Choice(NamedTuple):
    """Chosen sessions, int64, as indices into ``Outcomes.session_ids``, and how it was done."""

    sessions: NDArray[np.int64]
    says: str


def choose_sessions(outcomes: Outcomes, count: int, seed: int) -> Choice:
    """A stratified sample of the sessions with :data:`FEWEST` to :data:`MOST` questions.

    They are ordered by the share of their questions whose answer stands in the first :data:`TOP`
    (equal shares by lot) and cut into ``count`` parts of equal size; one is drawn from each. So
    hits and misses are mixed as in the data.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> outcomes = toy_outcomes(toy_recommender("pear plum"), "plum pear", "pear plum pear plum")
    >>> choice = choose_sessions(outcomes, count=6, seed=0)
    >>> [outcomes.session_ids[s] for s in choice.sessions]  # the other has too few questions
    ['s1']
    """
    rng = np.random.default_rng(seed)
    questions = np.bincount(outcomes.session, minlength=len(outcomes.session_ids))
    hits = np.bincount(outcomes.session, outcomes.rank <= TOP, len(questions))
    fit = np.flatnonzero((questions >= FEWEST) & (questions <= MOST))
    lot = rng.permutation(len(fit))
    order = fit[np.lexsort((lot, hits[fit] / questions[fit]))]
    count = min(count, len(order))
    parts = np.array_split(order, count) if count else []
    chosen = np.array([part[rng.integers(len(part))] for part in parts], np.int64)
    return Choice(
        chosen,
        f"Not hand-picked: the {len(fit):,} sessions with {FEWEST} to {MOST} questions were "
        f"ordered by the share of answers among the first {TOP} of {outcomes.header.model} and cut "
        f"into {count} equal parts; one session was drawn from each with seed {seed}.",
    )


def clicks(
    model: str,
    outcomes: Outcomes,
    sessions: NDArray[np.int64],
    name: Callable[[str], str],
) -> list[Click]:
    """The questions of the sessions, in order.

    Args:
        name: what an item id is called.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> outcomes = toy_outcomes(toy_recommender("pear plum pear"), "plum pear")
    >>> (click,) = clicks("mine", outcomes, np.array([0]), name=str.title)
    >>> click.item_name, click.shown, click.target, click.rank
    ('Plum', ('pear', 'plum'), 'pear', 1)
    """
    ids = outcomes.item_ids
    rows = []
    for e, s in enumerate(sessions.tolist()):
        for q in np.flatnonzero(outcomes.session == s).tolist():
            shown = [ids[i] for i in outcomes.slate[q, :TOP].tolist() if i >= 0]
            item, target, rank = (
                ids[outcomes.item[q]], ids[outcomes.target[q]], int(outcomes.rank[q]),
            )  # fmt: skip
            rows.append(
                Click(
                    e,
                    outcomes.session_ids[s],
                    model,
                    int(outcomes.position[q]),
                    int(outcomes.ts[q]),
                    outcomes.type_names[outcomes.type[q]],
                    item,
                    name(item),
                    int(outcomes.context_length[q]),
                    tuple(shown),
                    tuple(map(name, shown)),
                    target,
                    name(target),
                    None if rank == NOT_RANKED else rank,
                )
            )
    return rows
