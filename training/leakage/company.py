"""Check (c): neither padding nor the other rows of a batch change a score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.certificate import Check
from session_rec.recommender import Recommender
from training.leakage.forward import SessionForward
from training.leakage.parity import TOLERANCE
from training.leakage.probes import Probes, draw_probes, largest_difference, other_future
from training.leakage.scoring import in_batches

#: Probes that are also scored all alone.
_ALONE = 6


def check_company(recommender: Recommender, forward: SessionForward | None, seed: int) -> Check:
    """Scores probes alone, in batches, beside strangers, and padded to other widths.

    Shapes differ here, and with them the order in which some libraries add: differences up to
    1e-5 of the scores' range are let pass and recorded.
    """
    rng = np.random.default_rng([seed, 2])
    n_items = len(recommender.catalog)
    numbers: dict[str, float | int | str] = {"tolerance": TOLERANCE}
    if forward is None:
        numbers["training forward"] = "not applicable: the training scores no whole sessions"
    else:
        probes = draw_probes(n_items, forward.longest, rng)
        for name, mode in (("training forward", True), ("training forward, eval mode", False)):
            key = f"{name}, other rows"
            if forward.both_sides:
                numbers[key] = "not applicable: which items are masked is drawn per batch"
                continue
            numbers[key] = _rows(forward, probes, mode, n_items, rng)
            numbers[f"{name}, padding"] = (
                "not applicable: always padded to the same width"
                if forward.one_width
                else _padding(forward, probes, mode)
            )
        numbers["validation forward"] = _validation(forward, probes)
    longest = recommender.rules.max_length + 5
    numbers["saved model"] = _saved(recommender, draw_probes(n_items, longest, rng), rng)
    worst = {k: v for k, v in numbers.items() if isinstance(v, float) and k != "tolerance"}
    far = [k for k, v in worst.items() if v > TOLERANCE]
    if far:
        return Check(
            "failed",
            f"padding or the other rows of a batch change scores by "
            f"{max(worst[k] for k in far):.2g} of their range (in the {', in the '.join(far)}; "
            f"allowed: {TOLERANCE:g})",
            numbers,
        )
    return Check("passed", "no score depends on its company", numbers)


def _rows(
    forward: SessionForward, probes: Probes, mode: bool, n_items: int, rng: np.random.Generator
) -> float:
    """Every second row replaced by a stranger; and a few rows alone."""

    def scores(p: Probes, width: int | None = None) -> NDArray[np.float32]:
        return forward.training(p.sessions, training_mode=mode, at=p.position, width=width).scores

    together = scores(probes)
    strangers = Probes(probes.sessions, np.where(np.arange(len(probes.position)) % 2, 0, 10**6))
    replaced = other_future(strangers, n_items, rng).sessions
    mixed = scores(Probes(replaced, probes.position))[::2]
    width = int(probes.sessions.lengths.max())
    alone = [scores(_one(probes, i), width) for i in range(min(_ALONE, len(probes.position)))]
    return max(
        largest_difference(mixed, together[::2]),
        largest_difference(np.concatenate(alone), together[: len(alone)]),
    )


def _padding(forward: SessionForward, probes: Probes, mode: bool) -> float:
    few = probes.first(_ALONE)
    worst = 0.0
    for i in range(len(few.position)):
        one = _one(few, i)
        own, wide = (
            forward.training(one.sessions, training_mode=mode, at=one.position, width=width).scores
            for width in (None, forward.longest)
        )
        worst = max(worst, largest_difference(wide, own))
    return worst


def _validation(forward: SessionForward, probes: Probes) -> float:
    together = forward.validation(probes.sessions, probes.position).scores
    few = [_one(probes, i) for i in range(min(_ALONE, len(probes.position)))]
    alone = [forward.validation(p.sessions, p.position).scores for p in few]
    return largest_difference(np.concatenate(alone), together[: len(alone)])


def _saved(recommender: Recommender, probes: Probes, rng: np.random.Generator) -> float:
    contexts = probes.contexts
    together = in_batches(recommender, contexts)
    order = rng.permutation(len(contexts))
    shuffled = in_batches(recommender, contexts.take(order))
    few = np.arange(min(_ALONE, len(contexts)))
    alone = np.concatenate(
        [in_batches(recommender, contexts.take(few[i : i + 1])) for i in range(len(few))]
    )
    return max(
        largest_difference(shuffled, together[order]),
        largest_difference(alone, together[: len(few)]),
    )


def _one(probes: Probes, i: int) -> Probes:
    return Probes(probes.sessions.take(np.array([i])), probes.position[i : i + 1])
