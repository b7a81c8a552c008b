"""How much less an older session counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.ragged import Ragged

_DAY_MS = 24 * 3600 * 1000
#: Smaller weights would vanish in float32, and with them the order of sessions.
_SMALLEST = 2.0**-100


def recency_weights(
    sessions: Ragged, half_life_days: float = 0.0, half_life_sessions: float = 0.0
) -> NDArray[np.float64]:
    """float64 [S] in (0, 1]: 2^(-age / half-life) of each session, by its last ``ts``.

    Args:
        half_life_days: age, seen from the newest event, that counts half; 0: days do not count.
        half_life_sessions: the same in sessions that ended later, for data whose ``ts`` orders
            events but is no clock; 0: their number does not count.

    >>> recency_weights(Ragged.from_lists([[0], [0, 1, 2], [0, 1]]), half_life_sessions=1).tolist()
    [0.25, 1.0, 0.5]
    """
    weights = np.ones(len(sessions))
    if len(sessions) == 0:
        return weights
    ended = sessions.ts[sessions.offsets[1:] - 1]
    if half_life_days:
        weights *= np.exp2(-(ended.max() - ended) / (_DAY_MS * half_life_days))
    if half_life_sessions:
        order = np.argsort(ended, kind="stable")
        weights[order] *= np.exp2(-np.arange(len(sessions))[::-1] / half_life_sessions)
    return np.maximum(weights, _SMALLEST)
