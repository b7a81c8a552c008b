"""Sessions to ask a model about: random ones, and the same with another future."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from session_rec.ragged import Ragged

#: Probes, one position each: few enough for a second, enough for every length a few times.
_PROBES = 120
#: Scores held at once by one check, N a probe: 128 MiB.
_MAX_SCORES = 1 << 25


class Probes(NamedTuple):
    """R random sessions, each with one position that is asked about.

    Attributes:
        sessions: of catalog rows, with a clock (10 ms between events) and types.
        position: int64 [R], index of the target in its session, at least 1: the items before it
            are the context, itself and what follows are the future.
    """

    sessions: Ragged
    position: NDArray[np.int64]

    @property
    def contexts(self) -> Ragged:
        """What a model may read: the events before the position."""
        starts = self.sessions.offsets[:-1]
        return self.sessions.window(starts, starts + self.position)

    def first(self, count: int) -> Probes:
        """The first ``count`` probes."""
        which = np.arange(min(count, len(self.position)))
        return Probes(self.sessions.take(which), self.position[which])


def draw_probes(n_items: int, longest: int, rng: np.random.Generator) -> Probes:
    """Random probes whose sessions have 2 to ``longest`` items, every position equally often."""
    count = int(np.clip(_MAX_SCORES // n_items, 16, _PROBES))
    position = np.arange(count) % (longest - 1) + 1
    # About half of the targets have a future behind them, too.
    lengths = rng.integers(position + 1, longest + 1)
    return Probes(random_sessions(lengths, n_items, rng), position)


def random_sessions(
    lengths: NDArray[np.int64], n_items: int, rng: np.random.Generator, start_ms: int = 0
) -> Ragged:
    """Sessions of independent uniform items, 10 ms between events, a second between sessions."""
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    session = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(offsets[-1]) - offsets[session]
    return Ragged(
        rng.integers(0, n_items, offsets[-1]).astype(np.int32),
        offsets,
        start_ms + session * 1000 + place * 10,
        rng.integers(0, 3, offsets[-1]).astype(np.int8),
    )


def other_future(probes: Probes, n_items: int, rng: np.random.Generator) -> Probes:
    """The same probes with other items, times and types from the position on."""
    s = probes.sessions
    owner = np.repeat(np.arange(len(s)), s.lengths)
    later = np.arange(len(s.rows)) - s.offsets[owner] >= probes.position[owner]
    # Adding 1 to N - 1 rows around the circle never gives the same item again.
    moved = (s.rows + rng.integers(1, max(n_items, 2), len(s.rows))) % n_items
    return Probes(
        Ragged(
            np.where(later, moved, s.rows).astype(np.int32),
            s.offsets,
            np.where(later, s.ts + 4, s.ts),
            np.where(later, (s.types + 1) % 3, s.types).astype(np.int8),
        ),
        probes.position,
    )


def score_range(scores: NDArray[np.float32]) -> float:
    """Highest minus lowest score, the unit of every tolerance."""
    return float(scores.max() - scores.min()) or 1.0


def largest_difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The largest difference of two scores of the same item, as a share of their range.

    Infinity where a score is not a number: nothing is equal to it.
    """
    if a.size == 0:
        return 0.0
    worst = float(np.abs(a - b).max()) / score_range(b)
    return float(f"{worst:.2g}") if np.isfinite(worst) else float("inf")
