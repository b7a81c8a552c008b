"""What a recommendation costs: time per context, alone and in a micro-batch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import perf_counter

import numpy as np

from session_rec.event_log import Questions
from session_rec.recommender import MICRO_BATCH, Recommender


@dataclass(frozen=True)
class Cost:
    """Milliseconds per context of ``recommend_many``, slate of 20, in this process.

    Attributes:
        single_p50, single_p99: one context per call.
        batch_p50: per context, with :data:`session_rec.recommender.MICRO_BATCH` in a call.

    >>> Cost(single_p50=0.25, single_p99=0.5, batch_p50=0.0625).to_dict()
    {'single_p50': 0.25, 'single_p99': 0.5, 'batch_p50': 0.0625}
    """

    single_p50: float
    single_p99: float
    batch_p50: float

    def to_dict(self) -> dict[str, float]:
        """The figures as JSON-able values."""
        return asdict(self)


def measure_cost(
    recommender: Recommender, questions: Questions, calls: int = 300, seed: int = 0
) -> Cost:
    """Times ``calls`` single contexts and a quarter as many batches, drawn from ``questions``.

    >>> from session_rec.toy import toy_log, toy_recommender
    >>> recommender = toy_recommender("pear plum fig")
    >>> questions = toy_log("pear plum").questions(recommender.catalog, recommender.rules)
    >>> cost = measure_cost(recommender, questions, calls=4)
    >>> 0 < cost.single_p50 <= cost.single_p99
    True
    """
    rng = np.random.default_rng(seed)

    def timed(size: int, times: int) -> list[float]:
        taken = []
        for _ in range(times):
            which = rng.integers(0, len(questions), size)
            contexts = questions.events.window(questions.starts[which], questions.ends[which])
            begin = perf_counter()
            recommender.recommend_many(contexts, 20)
            taken.append((perf_counter() - begin) * 1000 / size)
        return taken

    timed(1, 10)  # caches and lazy set-up are not what a running service pays
    single = timed(1, calls)
    batch = timed(MICRO_BATCH, max(calls // 4, 1))
    p50, p99 = np.quantile(single, [0.5, 0.99])
    return Cost(float(p50), float(p99), float(np.median(batch)))
