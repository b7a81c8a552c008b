"""A model that just took over is on trial: the one before it answers where it fails, and takes
over again where its slates are worse to look at than its own were."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

from session_rec.recommender import Recommender

#: Slates of a model that its rates are taken from, the newest ones.
_NEWEST = 10_000

#: Hoeffding (1963), theorem 1: the mean of n values in [0, 1] is off by more than
#: sqrt(log(1 / p) / 2n) with a probability below p. It is asked of every batch again, and slates of
#: one session are alike, so p is small.
_LOG_1_P = math.log(1e5)


class SlateCounts:
    """How the newest slates of one model turned out.

    Attributes:
        slates: how many are counted, the newest 10,000 or a batch more.
        fallbacks: of these, popular ones, since no item of the context was known.
        empty: of these, such without an item.

    >>> counts = SlateCounts()
    >>> counts.add(8, fallbacks=2, empty=0)
    >>> counts.fallbacks / counts.slates
    0.25
    """

    def __init__(self) -> None:
        self.slates = self.fallbacks = self.empty = 0
        self._batches: deque[tuple[int, int, int]] = deque()

    def add(self, slates: int, fallbacks: int, empty: int) -> None:
        """Counts a batch."""
        self._batches.append((slates, fallbacks, empty))
        self.slates += slates
        self.fallbacks += fallbacks
        self.empty += empty
        while self.slates - self._batches[0][0] >= _NEWEST:
            gone = self._batches.popleft()
            self.slates -= gone[0]
            self.fallbacks -= gone[1]
            self.empty -= gone[2]


@dataclass
class Trial:
    """What decides whether a model that took over stays.

    Attributes:
        previous: the model before it, ready to answer.
        before: how that one's slates turned out.
        rise: how much larger a share of fallbacks, or of empty slates, is borne.
        max_errors: the error at which it is given up.
        ends_at: when it has stood its trial, by ``time.monotonic``.
        judge_rates: off after a rollback by hand: who went back knows why.
        errors: batches that it could not answer so far.
        last_error: what the last one said.
    """

    previous: Recommender
    before: SlateCounts
    rise: float
    max_errors: int
    ends_at: float
    judge_rates: bool = True
    errors: int = 0
    last_error: str = field(default="", repr=False)

    def failed(self, error: Exception) -> None:
        """Notes that it raised instead of answering a batch."""
        self.errors += 1
        self.last_error = f"{type(error).__name__}: {error}"

    @property
    def given_up(self) -> bool:
        """Whether it raised too often to be asked again."""
        return self.errors >= self.max_errors

    @property
    def over(self) -> bool:
        """Whether its time has come to an end."""
        return time.monotonic() >= self.ends_at

    def verdict(self, now: SlateCounts) -> str | None:
        """Why the previous model must take over again, for an operator; None if it need not.

        Args:
            now: how the slates of the model on trial turned out.
        """
        if self.given_up:
            return f"scoring raised {self.errors} times, last {self.last_error}"
        if not self.judge_rates or not now.slates or not self.before.slates:
            return None
        slack = sum(math.sqrt(_LOG_1_P / (2 * n)) for n in (now.slates, self.before.slates))
        for what in ("fallbacks", "empty"):
            rate = getattr(now, what) / now.slates
            was = getattr(self.before, what) / self.before.slates
            if rate - was > self.rise + slack:
                return (
                    f"{'fallback' if what == 'fallbacks' else 'empty'} slates are {rate:.1%} of "
                    f"{now.slates}, were {was:.1%} of {self.before.slates}"
                )
        return None
