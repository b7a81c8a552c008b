"""The ceiling: how often the best possible ranking would hit, given only the observed context.

Ranking by the exact predictive distribution is optimal for hit rate and reciprocal rank alike: no
model that reads items, times and types can expect to beat it on this shop. Devices and countries
are independent of what is seen, so that reading them gains nothing.

A context must be the whole visit up to its newest event. One that was cropped (say to its 20
newest events) is taken for a whole visit, which loses a little; scored with whole visits the
ceiling is an upper bound for models that read cropped ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from session_rec.ragged import Ragged
from training.shop.config import EVENT_TYPES
from training.shop.files import read_world
from training.shop.forward import Belief, Forward
from training.shop.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BATCH = 512  # visits carried on together
_Take = Callable[[Ints, Floats], None]


class Ceiling:
    """The exact predictor of one generated shop."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._forward = Forward(world)
        self._row = {item: row for row, item in enumerate(world.catalog.item_id)}

    @classmethod
    def from_file(cls, path: Path | str) -> Self:
        """Returns the ceiling of the shop that ``shop.json`` describes.

        Raises UserError where the file is missing or damaged, or rebuilds another shop.
        """
        return cls(read_world(Path(path)))

    def rows(self, item_ids: Sequence[str]) -> NDArray[np.int32]:
        """Returns int32 [len]: the rows of items, -1 where the shop has no such item."""
        return np.array([self._row.get(item, -1) for item in item_ids], np.int32)

    def predict(
        self, items: Sequence[int], ts: Sequence[int], types: Sequence[int] | Sequence[str]
    ) -> Floats:
        """Returns float64 [N]: P(next item | visit so far), which sums to 1.

        ``items`` are catalog rows, ``ts`` Unix milliseconds, ``types`` codes or names; oldest
        first, one visit. Raises ValueError where the visit is empty or an item is unknown.
        """
        codes = [EVENT_TYPES.index(t) if isinstance(t, str) else int(t) for t in types]
        context = Ragged(
            np.asarray(items, np.int32),
            np.array([0, len(items)], np.int64),
            np.asarray(ts, np.int64),
            np.asarray(codes, np.int8),
        )
        return np.asarray(self.predict_many(context)[0])

    def predict_many(self, contexts: Ragged) -> Floats:
        """Returns float64 [S, N]: the predictive distribution after each context.

        ``contexts.rows`` are rows of this shop's catalog. Takes S x N x 8 bytes.
        """
        result = np.empty((len(contexts), len(self.world.catalog.category)))

        def keep(which: Ints, p: Floats) -> None:
            result[which] = p

        self._run(contexts, keep)
        return result

    def ranks(self, contexts: Ragged, targets: NDArray[np.int32] | Ints) -> tuple[Ints, Floats]:
        """Ranks each target by the predictive distribution of its context.

        ``targets`` [S] are catalog rows; -1, an item the shop does not have, ranks last. Returns
        int64 [S] ranks from 1 (ties count against the target) and float64 [S, 20], the
        probabilities of the 20 most likely items, largest first (0 where there are fewer).
        """
        if len(targets) != len(contexts):
            raise ValueError(f"{len(contexts)} contexts need as many targets, got {len(targets)}")
        items = len(self.world.catalog.category)
        ranks = np.full(len(targets), items, np.int64)
        best = np.zeros((len(targets), 20))
        top = min(20, items)

        def keep(which: Ints, p: Floats) -> None:
            target = np.asarray(targets[which], np.int64)
            own = p[np.arange(len(p)), np.maximum(target, 0)]
            ranks[which] = np.where(target >= 0, (p >= own[:, None]).sum(axis=1), items)
            largest = -np.sort(-np.partition(p, items - top, axis=1)[:, items - top :], axis=1)
            best[which, :top] = largest

        self._run(contexts, keep)
        return ranks, best

    def _run(self, contexts: Ragged, take: _Take) -> None:
        """Calls ``take(context indices, probabilities)`` until every context was served."""
        if len(contexts) and int(contexts.lengths.min()) == 0:
            raise ValueError("an empty context has no visit to condition on")
        if len(contexts.rows) and (
            contexts.rows.min() < 0 or contexts.rows.max() >= len(self.world.catalog.category)
        ):
            raise ValueError("contexts hold items that are not in this shop's catalog")
        chains = prefix_chains(contexts)
        # Long chains first, so that the visits of a batch end together.
        order = np.argsort([-int(contexts.lengths[chain[-1]]) for chain in chains], kind="stable")
        for first in range(0, len(order), BATCH):
            self._run_batch(contexts, [chains[i] for i in order[first : first + BATCH]], take)

    def _run_batch(self, contexts: Ragged, chains: list[Ints], take: _Take) -> None:
        longest = np.array([chain[-1] for chain in chains])
        length = contexts.lengths[longest]
        start = contexts.offsets[longest]
        served = np.full((len(chains), int(length.max()) + 1), -1)  # context ending at this length
        for c, chain in enumerate(chains):
            served[c, contexts.lengths[chain]] = chain
        belief: Belief | None = None
        alive = np.arange(len(chains))
        for step in range(int(length.max())):
            on = np.flatnonzero(length[alive] > step)
            alive = alive[on]
            at = start[alive] + step
            event = tuple(
                column[at].astype(np.int64)
                for column in (contexts.rows, contexts.ts, contexts.types)
            )
            if belief is None:
                belief = self._forward.begin(*event)
            else:
                belief = self._forward.advance(belief.take(on), *event)
            ending = np.flatnonzero(served[alive, step + 1] >= 0)
            if len(ending):
                p = self._forward.next_item(belief.take(ending))
                take(served[alive[ending], step + 1], p)


def prefix_chains(contexts: Ragged) -> list[Ints]:
    """Groups neighbouring contexts that grow by prefix, so that each visit is walked once.

    Returns int64 arrays of context indices; in one array each context begins with the one before.
    """
    chains: list[list[int]] = []
    for i in range(len(contexts)):
        a, b = int(contexts.offsets[i]), int(contexts.offsets[i + 1])
        if i:
            before = int(contexts.offsets[i - 1])
            n = a - before
            if n < b - a and all(
                np.array_equal(column[before:a], column[a : a + n])
                for column in (contexts.ts, contexts.rows, contexts.types)
            ):
                chains[-1].append(i)
                continue
        chains.append([i])
    return [np.array(chain) for chain in chains]


def ceiling_metrics(
    ceiling: Ceiling, contexts: Ragged, targets: NDArray[np.int32] | Ints, k: int = 20
) -> dict[str, float | int]:
    """The ceiling's quality on scored positions.

    Args:
        ceiling: the shop's exact predictor.
        contexts: S contexts in rows of this shop's catalog, each a whole visit so far; those of
            one visit are fastest one after another, growing.
        targets: [S], the next item of each; -1 (unknown to the shop) is a miss.
        k: length of the slate, at most 20.

    Returns:
        ``hr`` and ``mrr``: hit rate and mean reciprocal rank at k of these targets (all items
        ranked, pessimistic ties); ``expected_hr`` and ``expected_mrr``: what the distribution
        itself expects on these contexts, free of the targets' chance; ``positions``: S.
    """
    if not 1 <= k <= 20:
        raise ValueError(f"k must be 1 to 20, got {k}")
    ranks, best = ceiling.ranks(contexts, targets)
    hit = ranks <= k
    return {
        "hr": float(hit.mean()) if len(ranks) else 0.0,
        "mrr": float((hit / ranks).mean()) if len(ranks) else 0.0,
        "expected_hr": float(best[:, :k].sum(axis=1).mean()) if len(ranks) else 0.0,
        "expected_mrr": float((best[:, :k] / np.arange(1, k + 1)).sum(axis=1).mean())
        if len(ranks)
        else 0.0,
        "positions": len(ranks),
    }
