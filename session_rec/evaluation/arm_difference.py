"""The difference between two arms to which sessions were drawn, with an interval that may be looked
at after every session.

The unit is the session, as that is what was drawn. With its value ``X`` in [0, 1], the share ``p``
of the challenger, and the mean of each arm's earlier sessions as guesses ``m1`` and ``m0``, its
estimate of the difference is (Howard et al. 2021, section 4.2; Robins, Rotnitzky and Zhao 1994)::

    Y = m1 - m0 + (X - m1) / p          in the challenger's arm
    Y = m1 - m0 - (X - m0) / (1 - p)    in the champion's

Over the draw alone its expectation is the session's own difference, what its value would have been
in one arm less in the other: traffic that changes by the hour does no harm. ``Y`` is off its guess
``m1 - m0`` by at most ``1 / min(p, 1 - p)``, the scale of :mod:`confidence_sequence`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from session_rec.evaluation.confidence_sequence import boundary


@dataclass(frozen=True)
class ArmDifference:
    """Challenger less champion.

    Attributes:
        estimate: the mean of the sessions' estimates, NaN without sessions.
        low, high: holds the mean difference at all times at once, with a probability of
            ``1 - alpha`` at least.

    >>> ArmDifference(0.05, 0.01, 0.09).verdict, ArmDifference(0.05, -0.1, 0.2).verdict
    ('ahead', 'undecided')
    """

    estimate: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``ahead``, ``behind`` or ``undecided``: where the challenger is."""
        return "ahead" if self.low > 0 else "behind" if self.high < 0 else "undecided"


def session_estimates(
    values: NDArray[np.float64], challenger: NDArray[np.bool_], share: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``Y`` of each session and its guess ``m1 - m0``: float64 [..., S] each.

    An arm without earlier sessions is guessed at a half; one session's worth of that stays.

    Args:
        values: float64 [..., S] in [0, 1], in an order that the draw has no part in.
        challenger: bool [..., S], which arm.
        share: ``p``.

    >>> session_estimates(np.array([1.0, 0.0]), np.array([True, False]), share=0.5)
    (array([1.  , 1.25]), array([0.  , 0.25]))
    """
    guess = {}
    for arm in (True, False):
        mine = challenger == arm
        total = np.cumsum(np.where(mine, values, 0.0), axis=-1)
        count = np.cumsum(mine, axis=-1)
        guess[arm] = np.full(values.shape, 0.5)
        guess[arm][..., 1:] = (0.5 + total[..., :-1]) / (1 + count[..., :-1])
    expected = guess[True] - guess[False]
    off = np.where(
        challenger, (values - guess[True]) / share, (guess[False] - values) / (1 - share)
    )
    return expected + off, expected


def arm_difference(
    values: NDArray[np.float64], challenger: NDArray[np.bool_], share: float, alpha: float = 0.05
) -> ArmDifference:
    """The difference after these sessions; arguments as of :func:`session_estimates`.

    >>> rng = np.random.default_rng(0)
    >>> challenger = rng.random(4000) < 0.5
    >>> values = (rng.random(4000) < np.where(challenger, 0.40, 0.25)).astype(float)
    >>> arm_difference(values, challenger, share=0.5).verdict
    'ahead'
    """
    estimates, guesses = session_estimates(values, challenger, share)
    return _interval(estimates, guesses, 1 / min(share, 1 - share), alpha, (-1.0, 1.0))


def drawn_share(challenger: NDArray[np.bool_], share: float, alpha: float = 0.001) -> ArmDifference:
    """The challenger's share of these sessions less ``share``: off 0 where the draw is broken, or
    where the arms decide who is among the sessions (sample ratio mismatch; Fabijan et al. 2019).

    >>> drawn_share(np.arange(3000) % 2 == 0, share=0.5).verdict
    'undecided'
    >>> drawn_share(np.arange(3000) % 3 == 0, share=0.5).verdict
    'behind'
    """
    off = challenger - share
    guesses = np.zeros(len(off))
    return _interval(off, guesses, max(share, 1 - share), alpha, (-share, 1 - share))


def _interval(
    observed: NDArray[np.float64],
    guesses: NDArray[np.float64],
    scale: float,
    alpha: float,
    possible: tuple[float, float],
) -> ArmDifference:
    n = len(observed)
    if n == 0:
        return ArmDifference(float("nan"), *possible)
    width = boundary(float(np.sum((observed - guesses) ** 2)), scale, alpha / 2) / n
    mean = float(observed.mean())
    return ArmDifference(mean, max(mean - width, possible[0]), min(mean + width, possible[1]))
