"""Intervals for a mean that hold at every moment at once, so that one may look at any time.

Howard, Ramdas, McAuliffe and Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic confidence
sequences", Annals of Statistics 49(2), theorem 4, with a discrete mixture (their section 3.4) as
the boundary. For observations ``Y`` with guesses ``G`` that were made before them, and
``|Y - G| <= c`` always, the following is for each ``0 <= l < 1/c`` a nonnegative supermartingale
that begins at 1 (lemma 4.1 of Fan, Grama and Liu 2015 gives its steps)::

    exp(l * sum(Y - E Y) - psi(l) * V),   V = sum((Y - G)^2),   psi(l) = (-log(1 - c l) - c l) / c^2

and so is an average over several ``l``. By Ville's inequality such a process ever reaches ``1 / a``
with a probability of at most ``a``. Nothing is asked of the observations but that bound: no
normality, no large numbers, no equal distribution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: ``c l`` of the mixture, equally weighted: small ones serve large numbers. The last is best where
#: ``V / c^2`` is about 6e7; far beyond that the interval ceases to shrink, and holds still.
_BETS = 0.5 * 1.6 ** -np.arange(16.0)


def log_evidence(
    deviation: NDArray[np.float64], variance: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """The logarithm of the mixture: how much speaks against means that far below the observed.

    Args:
        deviation: float64 [...], ``sum(Y - E Y)`` for the means in question.
        variance: float64 [...], ``V``.
        scale: ``c``.

    >>> log_evidence(np.array([0.0, 30.0]), np.array([0.0, 50.0]), scale=2.0).round(2).tolist()
    [0.0, 2.74]
    """
    exponents = [
        (bet / scale) * deviation + (np.log1p(-bet) + bet) / scale**2 * variance for bet in _BETS
    ]
    top = exponents[0]
    for exponent in exponents[1:]:
        top = np.maximum(top, exponent)
    mean = sum(np.exp(exponent - top) for exponent in exponents) / len(_BETS)
    evidence: NDArray[np.float64] = top + np.log(mean)
    return evidence


def boundary(variance: float, scale: float, alpha: float) -> float:
    """The deviation that is ever reached with a probability of at most ``alpha``.

    The mean of n observations is then above their average minus ``boundary / n`` at all n at once.

    >>> round(boundary(50.0, scale=2.0, alpha=0.05), 2)
    31.24
    >>> log_evidence(np.array(31.25), np.array(50.0), scale=2.0) >= np.log(1 / 0.05)
    True
    """
    rates = _BETS / scale
    needed = np.log(len(_BETS) / alpha)
    # Any one of the bets alone is enough for the mixture: their lowest is not below the boundary.
    high = float(np.min((needed - (np.log1p(-_BETS) + _BETS) / scale**2 * variance) / rates))
    low, v = 0.0, np.array(variance)
    for _ in range(60):
        middle = (low + high) / 2
        if log_evidence(np.array(middle), v, scale) >= np.log(1 / alpha):
            high = middle
        else:
            low = middle
    return high
