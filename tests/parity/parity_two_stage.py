"""The scores of a two-stage model, written out item by item and in float64.

Nothing here comes from ``session_rec``. The parts' scores are those that other formulas gave, the
facts are counted in the sessions that the test cut from the training rows. Of the model directory
only the tensors of the small network are read: how they were fitted is not what parity is about.
Sources: Covington, Adams and Sargin (2016), for the two stages; Wolpert (1992), for a second model
over the first ones.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Line = NDArray[np.float64]
Pairs = dict[str, dict[str, float]]

#: Half-lives, in shares of the sessions: of clicks, and of pairs of clicks.
CLICKS, PAIRS = (0.03, 0.1, 0.3), 0.4
PAIRS_PER_ITEM = 200
LOG_FLOOR, UNSEEN, NEWEST = -12.0, 0.02, 3
#: Scores nearer to each other than this share of the part's range may stand in either order in
#: float32, and a rank is no smooth function of them.
NEAR = 1e-6


class Facts:
    """What training says of each item and of pairs of items.

    Args:
        sessions: item ids, in the order of their last click.
    """

    def __init__(self, sessions: Sequence[Sequence[str]]) -> None:
        self.clicks = Counter(item for session in sessions for item in session)
        self.recent: dict[float, dict[str, float]] = {h: defaultdict(float) for h in CLICKS}
        self.age: dict[str, float] = {}
        follows: Pairs = defaultdict(lambda: defaultdict(float))
        near: Pairs = defaultdict(lambda: defaultdict(float))
        for n, session in enumerate(sessions):
            age = (len(sessions) - 1 - n) / len(sessions)  # the share that ended later
            for item in session:
                self.age[item] = age
                for half_life, clicks in self.recent.items():
                    clicks[item] += 2 ** (-age / half_life)
            weight = 2 ** (-age / PAIRS)
            for a, b in pairwise(session):
                follows[a][b] += weight
                near[a][b] += weight
                near[b][a] += weight
            for a, b in zip(session, session[2:], strict=False):
                near[a][b] += weight / 2
                near[b][a] += weight / 2
        self.follows, self.near = _heaviest(follows), _heaviest(near)
        self.volume = {item: 1 + sum(near.get(item, {}).values()) for item in self.clicks}


def _heaviest(pairs: Pairs) -> Pairs:
    return {
        item: dict(sorted(others.items(), key=lambda o: (-o[1], o[0]))[:PAIRS_PER_ITEM])
        for item, others in pairs.items()
    }


class TwoStageFormula:
    """Ranks the parts' best items by the network, all others below them.

    Args:
        items: the catalog, ascending.
        sessions: as for :class:`Facts`.
        vectors: [N, d], of each item.
        depth: items that each part puts up.
        tensors: the network: ``w . z + v . tanh(z A + a)`` with ``z = (x - mean) / scale``.
    """

    def __init__(
        self,
        items: Sequence[str],
        sessions: Sequence[Sequence[str]],
        vectors: Line,
        depth: int,
        tensors: Mapping[str, NDArray[np.float32]],
    ) -> None:
        self._items, self._facts, self._depth = items, Facts(sessions), depth
        self._units = dict(
            zip(items, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True)
        )
        self._net = {name: tensor.astype(float) for name, tensor in tensors.items()}

    def scores(self, context: Sequence[str], parts: Sequence[tuple[Line, bool]]) -> Line | None:
        """float64 [N], or None where a part's ranks hang on less than float32 resolves.

        Args:
            context: the known items, newest last.
            parts: of each part float64 [N] and whether these are logits, the main one first.
        """
        best = [self._best(scores) for scores, _ in parts]
        if any(b is None for b in best):
            return None
        tables = [dict(zip(self._items, scores.tolist(), strict=True)) for scores, _ in parts]
        found = sorted(set().union(*(b for b in best if b)))
        features = []
        for item in found:
            of_parts = [
                value
                for table, b, (_, logits) in zip(tables, best, parts, strict=True)
                for value in _of_part(item, table, b or [], logits)
            ]
            features.append([*of_parts, *self._of_context(item, context)])
            features[-1] += [*self._of_item(item), *self._beside(item, context)]
        net = self._net
        z = (np.array(features) - net["mean"]) / net["scale"]
        own = z @ net["linear"] + np.tanh(z @ net["hidden"] + net["bias"]) @ net["output"]
        main = parts[0][0]
        behind = (main.max() - main) / (main.max() - main.min() + 1e-6)
        line: Line = own.min() - 1 - behind
        line[[self._items.index(item) for item in found]] = own
        return line

    def _best(self, scores: Line) -> list[str] | None:
        """The part's best items, best first, equals by id; None if it is not sure of an order."""
        single = scores.astype(np.float32)  # what is equal but for float64's last bits is equal
        order = np.lexsort((np.arange(len(single)), -single))[: self._depth + 1]
        steps = -np.diff(single[order].astype(float))
        if ((steps > 0) & (steps < NEAR * np.ptp(scores))).any():
            return None
        return [self._items[row] for row in order[: self._depth].tolist()]

    def _of_context(self, item: str, context: Sequence[str]) -> Iterator[float]:
        ages = [age for age, other in enumerate(reversed(context)) if other == item]
        inside, length = float(bool(ages)), math.log(len(context) + 1) / 2
        distinct = len(set(context)) / len(context)
        yield inside
        yield 1 / (ages[0] + 1) if ages else 0.0
        yield math.log(len(ages) + 1)
        yield float(ages[:1] == [0])
        yield float(ages[:1] == [1])
        yield math.log(self._facts.clicks[item] + 1) / 8
        yield length
        yield distinct
        yield inside * length
        yield inside * distinct

    def _of_item(self, item: str) -> Iterator[float]:
        popular = math.log(self._facts.clicks[item] + 1)
        recent = [math.log(clicks[item] + 1) for clicks in self._facts.recent.values()]
        yield from (value / 8 for value in recent)
        yield (recent[0] - popular) / 8
        yield math.log(self._facts.age[item] + 0.001) / 4

    def _beside(self, item: str, context: Sequence[str]) -> Iterator[float]:
        facts = self._facts
        cosines = [float(self._units[item] @ self._units[other]) for other in context][::-1]
        newest = context[::-1][:NEWEST]
        for other, cosine in zip(newest, cosines, strict=False):
            follows = facts.follows.get(other, {}).get(item, 0.0)
            near = facts.near.get(other, {}).get(item, 0.0)
            own, its = facts.volume[other], facts.volume[item]
            yield math.log(follows + 1) / 3
            yield math.log((follows + UNSEEN) / own) / 4
            yield math.log((near + UNSEEN) / math.sqrt(own * its)) / 4
            yield cosine
        for _ in range(NEWEST - len(newest)):
            yield from (0.0, -2.0, -2.0, 0.0)
        yield max(cosines[:NEWEST])
        yield sum(cosines) / len(cosines)


def _of_part(
    item: str, scores: Mapping[str, float], best: Sequence[str], logits: bool
) -> Iterator[float]:
    own, top, last = scores[item], scores[best[0]], scores[best[-1]]
    if logits:
        log_probability = own - top - math.log(sum(math.exp(s - top) for s in scores.values()))
    else:
        share = max(own, 0.0) / sum(max(s, 0.0) for s in scores.values())
        log_probability = math.log(share) if share else LOG_FLOOR
    rank = sum(np.float32(scores[other]) > np.float32(own) for other in best)
    yield max(log_probability, LOG_FLOOR) / 4
    yield 1 / (rank + 1)
    yield math.log(rank + 1) / 4
    yield min((top - own) / (top - last + 1e-6), 4.0)
