"""Whether a model's confidence in the item that it shows first is a probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from session_rec.evaluation.metrics import session_intervals
from session_rec.evaluation.outcomes import Outcomes
from session_rec.report.rows import CalibrationBin

BINS = 10


def first_item_hits(outcomes: Outcomes) -> NDArray[np.bool_]:
    """bool [Q]: the item shown first is the one that came next.

    ``hr@1`` is lower where scores tie, because ties count against the target.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> first_item_hits(toy_outcomes(toy_recommender("pear plum pear"), "plum pear plum"))
    array([ True, False])
    """
    hits: NDArray[np.bool_] = outcomes.slate[:, 0] == outcomes.target
    return hits


def calibration_bins(
    model: str,
    confidence: NDArray[np.floating[Any]],
    hit: NDArray[np.bool_],
    session: NDArray[np.int64],
    bins: int = BINS,
) -> list[CalibrationBin]:
    """Confidence against hits in ``bins`` bins of equal n; equal confidences share a bin.

    Bins of equal n instead of equal width (Nguyen and O'Connor 2015; Nixon et al. 2019): most
    confidences among thousands of items are small, and would all lie in the first of ten widths.

    Args:
        confidence: [Q], from 0 to 1.
        hit: bool [Q].
        session: int64 [Q]; intervals resample sessions.

    >>> confidence, hit = np.array([0.1, 0.1, 0.9, 0.9]), np.array([False, False, True, False])
    >>> [(b.confidence, b.hit_rate) for b in calibration_bins("m", confidence, hit, np.arange(4))]
    [(0.1, 0.0), (0.9, 0.5)]
    """
    confidence = np.asarray(confidence, np.float64)
    rising = np.sort(confidence)
    edges = np.unique(rising[np.arange(bins) * len(rising) // bins])
    place = np.searchsorted(edges, confidence, side="right") - 1
    rows = []
    for b in range(len(edges)):
        inside = place == b
        came = hit[inside].astype(np.float64)
        low, high = session_intervals({"hit": came}, session[inside], seed=0)["hit"]
        sure = confidence[inside]
        mean = float(np.clip(sure.mean(), sure.min(), sure.max()))
        rows.append(
            CalibrationBin(
                model, b, mean, float(sure.min()), float(sure.max()),
                float(came.mean()), low, high, len(came),
            )
        )  # fmt: skip
    return rows


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Expected calibration error: mean of |confidence − hit rate| over bins, weighted by n.

    Guo et al. 2017, "On calibration of modern neural networks".

    >>> confidence, hit = np.array([0.2, 0.2, 0.9, 0.9]), np.array([False, False, True, True])
    >>> bins = calibration_bins("m", confidence, hit, np.arange(4))  # off by 0.2, and by 0.1
    >>> round(calibration_error(bins), 6)
    0.15
    """
    n = sum(b.questions for b in bins)
    return sum(b.questions * abs(b.confidence - b.hit_rate) for b in bins) / n
