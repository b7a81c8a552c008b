"""Check (b): what the training scored at a position is what the saved model says of its prefix."""

from __future__ import annotations

import numpy as np

from session_rec.certificate import Check
from session_rec.predictors.base import Predictor
from session_rec.recommender import Recommender
from training.leakage.forward import SessionForward
from training.leakage.probes import draw_probes, largest_difference
from training.leakage.scoring import in_batches

#: What ONNX may differ by from torch, as a share of the scores' range. Two items can then change
#: places only where their scores lie within twice of that.
TOLERANCE = 1e-5


def check_parity(
    recommender: Recommender, fitted: Predictor, forward: SessionForward | None, seed: int
) -> Check:
    """Compares the scores of probes with those of the saved and loaded model on their contexts.

    Without a forward over whole sessions it is the fitted predictor, still in memory, that is
    compared; it holds the very arrays that were saved, so it must not differ at all.
    """
    rng = np.random.default_rng([seed, 1])
    n_items = len(recommender.catalog)
    longest = forward.longest if forward else recommender.rules.max_length + 5
    probes = draw_probes(n_items, max(longest, 2), rng)
    contexts = probes.contexts
    saved = in_batches(recommender, contexts)
    in_memory = in_batches(Recommender(recommender.catalog, fitted, recommender.rules), contexts)
    numbers: dict[str, float | int | str] = {
        "tolerance": TOLERANCE,
        "positions": len(contexts),
        "fitted predictor": largest_difference(in_memory, saved),
    }
    if forward is None:
        numbers["training forward"] = "not applicable: the training scores no whole sessions"
    else:
        for name, mode in (("training forward", True), ("training forward, eval mode", False)):
            numbers[name] = (
                "not applicable: it asks for masked items, with the items on both sides"
                if forward.both_sides
                else largest_difference(
                    forward.training(
                        probes.sessions, training_mode=mode, at=probes.position
                    ).scores,
                    saved,
                )
            )
        numbers["validation forward"] = largest_difference(
            forward.validation(probes.sessions, probes.position).scores, saved
        )
    worst = {k: v for k, v in numbers.items() if isinstance(v, float) and k != "tolerance"}
    far = [k for k, v in worst.items() if v > (0.0 if k == "fitted predictor" else TOLERANCE)]
    if far:
        return Check(
            "failed",
            f"the saved model's scores differ from those of the {', '.join(far)} by "
            f"{max(worst[k] for k in far):.2g} of their range on {len(contexts)} prefixes "
            f"(allowed: {TOLERANCE:g})",
            numbers,
        )
    return Check(
        "passed", f"the saved model differs by {max(worst.values()):.1g} of the range", numbers
    )
