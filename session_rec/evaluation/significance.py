"""Is a paired difference more than chance? Whole sessions are what is drawn, never questions.

The questions of a session are not independent, so both methods keep a session together: the
interval resamples sessions with replacement (cluster bootstrap, Field and Welsh 2007), the test
exchanges the two models within whole sessions (paired randomisation test; Smucker, Allan and
Carterette 2007 compare such tests for retrieval).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

#: With at most so many sessions that differ, all 2^n sign flips are enumerated: the p-value is
#: then exact.
EXACT_SESSIONS = 14
#: Numbers drawn at once, which bounds the memory.
_CHUNK_NUMBERS = 4_000_000

#: Called with the number of resamples just done.
Progress = Callable[[int], None]


def bootstrap_interval(
    sums: NDArray[np.float64],
    sizes: NDArray[np.float64],
    *,
    resamples: int,
    seed: int,
    level: float = 0.95,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """float64 [2, M]: the percentile interval of the mean per question, sessions resampled.

    A resample is S sessions drawn with replacement; its statistic is the sum of their sums over
    the sum of their sizes.

    Args:
        sums: float64 [S, M], per session the sum of M quantities over its questions.
        sizes: float64 [S], per session its number of questions.

    >>> bootstrap_interval(np.ones((5, 1)), np.full(5, 2.0), resamples=100, seed=0).ravel().tolist()
    [0.5, 0.5]
    """
    s = len(sizes)
    values = np.column_stack((sums, sizes))
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, sums.shape[1]))
    for part in _chunks(resamples, s):
        times = np.empty((part.stop - part.start, s))
        for row in times:
            row[:] = np.bincount(rng.integers(0, s, s), minlength=s)
        drawn = times @ values
        means[part] = drawn[:, :-1] / drawn[:, -1:]
        if progress is not None:
            progress(len(times))
    tail = (1 - level) / 2
    bounds: NDArray[np.float64] = np.quantile(means, [tail, 1 - tail], axis=0)
    return bounds


def sign_flip_p(
    sums: NDArray[np.float64],
    *,
    resamples: int,
    seed: int,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Two-sided p-values, float64 [M], and which of them are exact, bool [M].

    Null hypothesis: within every session the two models could change places. Then the sign of each
    session's difference is a coin, and p is the probability that coins alone give a total at least
    as far from 0. Over all 2^n flips of the n sessions that differ it is exact, for n <=
    :data:`EXACT_SESSIONS`; else it is ``(1 + hits) / (1 + resamples)``, which is never too small
    (Phipson and Smyth 2010, "Permutation p-values should never be zero").

    Args:
        sums: float64 [S, M], per session the sum of M differences over its questions.

    >>> sign_flip_p(np.ones((3, 1)), resamples=9, seed=0)[0].tolist()  # 2 of 8: +++ and ---
    [0.25]
    """
    differs = sums != 0
    exact = differs.sum(axis=0) <= EXACT_SESSIONS
    p = np.ones(sums.shape[1])
    for m in np.flatnonzero(exact):
        p[m] = _exact_p(sums[differs[:, m], m])
    drawn = np.flatnonzero(~exact)
    if len(drawn):
        values = sums[np.ix_(differs[:, drawn].any(axis=1), drawn)]
        p[drawn] = _drawn_p(values, resamples, seed, progress)
    elif progress is not None:
        progress(resamples)
    return p, exact


def holm(p: Sequence[float]) -> list[float]:
    """The p-values of several tests, adjusted so that the chance of any false alarm among them
    stays what each alone would have (Holm 1979); in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p)
    highest = 0.0
    for done, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - done) * p[i]))
        adjusted[i] = highest
    return adjusted


def _exact_p(values: NDArray[np.float64]) -> float:
    flips = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1
    return float(np.mean(_as_far((1.0 - 2.0 * flips) @ values, values)))


def _drawn_p(
    values: NDArray[np.float64], resamples: int, seed: int, progress: Progress | None
) -> NDArray[np.float64]:
    s = len(values)
    rng = np.random.default_rng(seed)
    hits = np.zeros(values.shape[1], np.int64)
    for part in _chunks(resamples, s):
        rows = part.stop - part.start
        coins = rng.integers(0, 256, (rows, -(-s // 8)), np.uint8)
        flipped = np.unpackbits(coins, axis=1, count=s).astype(np.float64)
        totals = values.sum(axis=0) - 2 * (flipped @ values)
        hits += _as_far(totals, values).sum(axis=0)
        if progress is not None:
            progress(rows)
    return (1 + hits) / (1 + resamples)


def _as_far(totals: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which totals are as far from 0 as the one observed.

    Equal ones that were added up in another order may differ in their last bits: they count.
    """
    slack = 1e-9 * np.abs(values).sum(axis=0)
    far: NDArray[np.bool_] = np.abs(totals) >= np.abs(values.sum(axis=0)) - slack
    return far


def _chunks(resamples: int, sessions: int) -> list[slice]:
    size = max(1, min(resamples, _CHUNK_NUMBERS // max(sessions, 1)))
    return [slice(i, min(i + size, resamples)) for i in range(0, resamples, size)]
