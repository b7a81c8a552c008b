"""Check (a): what comes after a position changes no score at it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.certificate import Check
from session_rec.event_log import SessionLog
from session_rec.events import EVENT_TYPES
from session_rec.ragged import Ragged
from session_rec.recommender import Recommender
from training.leakage.forward import SessionForward
from training.leakage.probes import Probes, draw_probes, largest_difference, other_future
from training.leakage.scoring import in_batches


def check_future(recommender: Recommender, forward: SessionForward | None, seed: int) -> Check:
    """Scores probes, and again with another future; any difference at all fails.

    The two are scored in batches of the same shape at the same places, so nothing but a leak can
    make a difference: no tolerance is needed.
    """
    n_items = len(recommender.catalog)
    if n_items < 2:
        return Check("not applicable", "one item has no other future")
    rng = np.random.default_rng([seed, 0])
    numbers: dict[str, float | int | str] = {}
    longest = 2
    if forward is None:
        numbers["training forward"] = "not applicable: the training scores no whole sessions"
    else:
        longest = forward.longest
        probes = draw_probes(n_items, longest, rng)
        other = other_future(probes, n_items, rng)
        for name, mode in (("training forward", True), ("training forward, eval mode", False)):
            numbers[name] = _in_training(forward, probes, other, mode, n_items, rng)
        numbers["validation forward"] = largest_difference(
            *(forward.validation(p.sessions, p.position).scores for p in (other, probes))
        )
    # Longer than a context can be, so that the cut is under test as well.
    probes = draw_probes(n_items, max(longest, recommender.rules.max_length) + 4, rng)
    other = other_future(probes, n_items, rng)
    numbers["windows into a log"] = largest_difference(
        *(_windows(recommender, p) for p in (other, probes))
    )
    numbers["questions of evaluate"] = largest_difference(
        *(_questions(recommender, p) for p in (other, probes))
    )
    worst = max(v for v in numbers.values() if isinstance(v, float))
    numbers["positions"] = len(probes.position)
    if worst > 0:
        where = ", ".join(k for k, v in numbers.items() if isinstance(v, float) and v > 0)
        return Check(
            "failed",
            f"items after a position change its scores by {worst:.2g} of their range, where "
            f"nothing may change ({where}; {len(probes.position)} positions)",
            numbers,
        )
    return Check("passed", "no score reads a later item", numbers)


def _in_training(
    forward: SessionForward,
    probes: Probes,
    other: Probes,
    mode: bool,
    n_items: int,
    rng: np.random.Generator,
) -> float:
    if not forward.both_sides:
        return largest_difference(
            *(
                forward.training(p.sessions, training_mode=mode, at=p.position).scores
                for p in (other, probes)
            )
        )
    # A masked item is asked for with the items on both sides: it is itself that must be unseen.
    asked = forward.training(probes.sessions, training_mode=mode, seed=1)
    rows = probes.sessions.rows.copy()
    masked = probes.sessions.offsets[asked.session] + asked.position
    rows[masked] = (rows[masked] + rng.integers(1, n_items, len(masked))) % n_items
    s = probes.sessions
    again = forward.training(Ragged(rows, s.offsets, s.ts, s.types), training_mode=mode, seed=1)
    if not np.array_equal(again.target, rows[masked]):
        raise ValueError("the forward masked other items on the second call")
    return largest_difference(again.scores, asked.scores)


def _windows(recommender: Recommender, probes: Probes) -> NDArray[np.float32]:
    """Scores of contexts that are views into one long log, their future right behind them."""
    s = probes.sessions
    cuts = np.stack([s.offsets[:-1], s.offsets[:-1] + probes.position], axis=1).ravel()
    log = Ragged(s.rows, np.append(cuts, s.offsets[-1]), s.ts, s.types)
    return in_batches(recommender, log)[::2]


def _questions(recommender: Recommender, probes: Probes) -> NDArray[np.float32]:
    """Scores of the same contexts as ``evaluate`` takes them from a log."""
    s = probes.sessions
    ids = recommender.catalog.item_ids
    log = SessionLog(
        tuple(str(i) for i in range(len(s))),
        np.repeat(np.arange(len(s)), s.lengths),
        ids,
        s.rows,
        s.ts,
        EVENT_TYPES[:3],
        s.types.astype(np.int16),
        np.full(len(s.rows), -1, np.int64),
    )
    questions = log.questions(recommender.catalog, recommender.rules)
    asked = np.flatnonzero(
        questions.position == s.offsets[questions.session] + probes.position[questions.session] - 1
    )
    if len(asked) != len(s):
        raise ValueError("evaluate does not ask for every probe")
    # One at a time, by the slices that evaluate takes.
    parts = [recommender.score(questions.contexts(slice(q, q + 1))) for q in asked.tolist()]
    return np.concatenate(parts)
