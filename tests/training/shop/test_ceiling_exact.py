"""The forward algorithm against an enumeration of every hidden path, written from the docs.

The enumeration is scalar Python over the world's raw tables; it shares no function with the
forward algorithm or the generator.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from training.shop.ceiling import Ceiling
from training.shop.config import DAY_MS, DWELL_EDGES
from training.shop.world import World

BOT = "bot"
Event = tuple[int, int, int]  # item, ts, type


class Enumeration:
    def __init__(self, world: World) -> None:
        self.w = world
        self.stages = world.config.stages
        c, k, s = world.shape
        self.states = [BOT, *itertools.product(range(c), range(k), range(s))]
        self.items = range(len(world.catalog.name))

    def day(self, ts: int) -> int:
        day = (ts - self.w.config.start_ms()) // DAY_MS
        return min(max(day, 0), self.w.config.days - 1)

    def released(self, day: int) -> list[int]:
        return [x for x in self.items if self.w.catalog.release_day[x] <= day]

    def category(self, item: int) -> int:
        return int(self.w.catalog.category[item])

    def memory(self, past: list[Event]) -> tuple[list[int], set[int]]:
        """Distinct items, newest first (12 at most here never bind), and the cart."""
        newest_first: list[int] = []
        for item, _, _ in reversed(past):
            if item not in newest_first:
                newest_first.append(item)
        cart: set[int] = set()
        for item, _, kind in past:
            if kind == 1:
                cart.add(item)
            if kind == 2:
                cart.discard(item)
        return newest_first, cart

    def prior(self, state: object, day: int) -> float:
        if state == BOT:
            return self.w.config.bot_share
        c, k, s = state  # type: ignore[misc]
        return (1 - self.w.config.bot_share) * self.fresh_intent(c, k, s, day)

    def fresh_intent(self, c: int, k: int, s: int, day: int) -> float:
        return float(self.w.intent_prior[day, c] * self.w.taste_prior[c, k]) * self.stages[s].start

    def transition(self, a: object, b: object, past: list[Event], day: int) -> float:
        """Including that the visit goes on after these events."""
        n, config = len(past), self.w.config
        if (a == BOT) != (b == BOT):
            return 0.0
        survival = self.w.bot_survival if a == BOT else self.w.survival
        if n >= len(survival) - 1:
            return 0.0
        goes_on = float(survival[n + 1] / survival[n])
        if a == BOT:
            return goes_on
        bought = past[-1][2] == 2
        if bought:
            goes_on *= 1 - config.stop_after_purchase
        (c, k, s), (c2, k2, s2) = a, b  # type: ignore[misc]
        stage = self.stages[s]
        related = config.related_after_purchase if bought else stage.leave_to_related
        anywhere = 1 - config.related_after_purchase if bought else stage.leave_to_any
        tastes = self.w.shape[1]
        p = anywhere * self.fresh_intent(c2, k2, s2, day)
        drift = float(self.w.drift[c * tastes + k, c2 * tastes + k2])
        p += related * drift * self.stages[s2].start
        if not bought and (c, k) == (c2, k2):
            p += (1 - related - anywhere) * stage.next_stage[s2]
        return goes_on * p

    def dwell(self, state: object, gap: int) -> float:
        which = sum(gap >= edge for edge in DWELL_EDGES[1:-1])
        return (self.w.config.bot_dwell if state == BOT else self.stages[state[2]].dwell)[which]  # type: ignore[index]

    def item(self, x: int, state: object, past: list[Event], day: int) -> float:
        world, released = self.w, self.released(day)
        if x not in released:
            return 0.0
        if state == BOT:
            if not past:
                return 1 / len(released)
            later = [r for r in released if r > past[-1][0]]
            following = later[0] if later else released[0]
            follow = world.config.bot_follow
            return follow * (x == following) + (1 - follow) / len(released)
        c, k, s = state  # type: ignore[misc]
        stage = self.stages[s]
        q_revisit, q_neighbour, q_fresh, q_promoted = stage.mechanisms
        members = [r for r in released if self.category(r) == c]
        memory, _ = self.memory(past)

        revisit: dict[int, float] = {}
        for rank, item in enumerate(i for i in memory if self.category(i) == c):
            revisit[item] = stage.revisit_newest if rank == 0 else stage.revisit_decay ** (rank - 1)
        total = max(sum(revisit.values()), 1.0)
        revisit = {item: weight / total for item, weight in revisit.items()}
        q_fresh += q_revisit * (1 - sum(revisit.values()))

        neighbours: dict[int, float] = {}
        if memory:
            inside = [i for i in memory if self.category(i) == c]
            anchor = inside[0] if inside else memory[0]
            slot = int(world.neighbours.slot[self.category(anchor), c])
            if slot >= 0:
                for y, weight in zip(
                    world.neighbours.rows[anchor, slot],
                    world.neighbours.weight[anchor, slot],
                    strict=True,
                ):
                    if y >= 0 and int(y) in released:
                        neighbours[int(y)] = float(weight)
        near = sum(neighbours.values())
        if not near:
            q_fresh += q_neighbour

        def pull(y: int) -> float:
            return float(world.affinity[y, k] * world.weight[day, y])

        def demand(y: int) -> float:
            same = [z for z in released if self.category(z) == self.category(y)]
            share = world.weight[day, y] / sum(world.weight[day, z] for z in same)
            return float(share * world.intent_prior[day, self.category(y)])

        p = q_revisit * revisit.get(x, 0.0)
        p += q_neighbour * (neighbours.get(x, 0.0) / near if near else 0.0)
        p += q_promoted * demand(x)
        if x in members:
            p += q_fresh * pull(x) / sum(pull(y) for y in members)
        return p

    def kind(self, x: int, kind: int, state: object, past: list[Event]) -> float:
        if state == BOT:
            return float(kind == 0)
        memory, cart = self.memory(past)
        status = 2 if x in cart else 1 if x in memory else 0
        return self.stages[state[2]].event_types[status][kind]  # type: ignore[index]

    def predict(self, events: list[Event]) -> np.ndarray:
        """Sums over every path of hidden states, one per event and one for the next."""
        days = [self.day(ts) for _, ts, _ in events]
        steps = len(events) + 1
        seen = []  # [step][state]: likelihood of the event and of the gap that led from it
        for t, (x, ts, kind) in enumerate(events):
            past, day = events[:t], days[max(t - 1, 0)]
            seen.append(
                {
                    z: self.item(x, z, past, day)
                    * self.kind(x, kind, z, past)
                    * (self.dwell(z, events[t + 1][1] - ts) if t + 1 < len(events) else 1.0)
                    for z in self.states
                }
            )
        moves = [
            {
                (a, b): self.transition(a, b, events[: t + 1], days[t])
                for a in self.states
                for b in self.states
            }
            for t in range(len(events))
        ]
        following = {
            z: np.array([self.item(x, z, events, days[-1]) for x in self.items])
            for z in self.states
        }
        result = np.zeros(len(self.items))
        for path in itertools.product(self.states, repeat=steps):
            p = self.prior(path[0], days[0])
            for t in range(len(events)):
                p *= seen[t][path[t]] * moves[t][path[t], path[t + 1]]
                if p == 0.0:
                    break
            else:
                result += p * following[path[-1]]
        return result / result.sum()


def events(world: World, rng: np.random.Generator, length: int) -> list[Event]:
    """Random visits across the release days, with repeats, carts and purchases."""
    enumeration = Enumeration(world)
    ts = world.config.start_ms() + int(rng.integers(0, world.config.days)) * DAY_MS
    ts += DAY_MS - int(rng.integers(1, 400_000))  # a day may end inside the visit
    result: list[Event] = []
    for t in range(length):
        released = enumeration.released(enumeration.day(result[-1][1] if result else ts))
        memory, cart = enumeration.memory(result)
        item = int(rng.choice(memory if memory and rng.random() < 0.4 else released))
        kind = int(rng.choice([0, 2] if item in cart else [0, 1]))
        result.append((item, ts, kind if t else int(rng.integers(2))))
        ts += int(rng.integers(400, 300_000) if rng.random() < 0.7 else rng.integers(400, 12_000))
    return result


@pytest.mark.parametrize(("length", "seeds"), [(1, range(8)), (2, range(12)), (3, range(2))])
def test_forward_equals_the_sum_over_all_paths(tiny: World, length: int, seeds: range) -> None:
    assert any(tiny.catalog.release_day > 0), "the tiny shop must have an item that appears later"
    enumeration, ceiling = Enumeration(tiny), Ceiling(tiny)
    for seed in seeds:
        visit = events(tiny, np.random.default_rng([length, seed]), length)
        expected = enumeration.predict(visit)
        got = ceiling.predict(*zip(*visit, strict=True))
        assert np.allclose(got, expected, rtol=1e-9, atol=1e-12), (visit, got, expected)


def test_forward_equals_the_sum_over_all_paths_of_a_longer_visit() -> None:
    from training.shop.config import make_config
    from training.shop.world import build_world

    world = build_world(
        make_config(
            seed=2, items=6, sessions=1, days=2, departments=1, categories_per_department=1,
            brands_per_category=1, price_levels=1, bot_share=0.1, bot_length=(3, 6), length_max=6,
            bot_dwell=(0.5, 0.3, 0.2, 0, 0, 0, 0, 0),
        )
    )  # fmt: skip
    enumeration, ceiling = Enumeration(world), Ceiling(world)
    for seed in range(6):
        visit = events(world, np.random.default_rng(seed), 4)
        got = ceiling.predict(*zip(*visit, strict=True))
        assert np.allclose(got, enumeration.predict(visit), rtol=1e-9, atol=1e-12), visit


def test_a_cart_a_purchase_and_a_bought_item_again(tiny: World) -> None:
    """The rows of the type table that random visits rarely reach."""
    item = int(np.flatnonzero(tiny.catalog.release_day <= 0)[0])
    start = tiny.config.start_ms() + 3_600_000
    visit = [(item, start, 1), (item, start + 60_000, 2), (item, start + 61_000, 0)]
    got = Ceiling(tiny).predict(*zip(*visit, strict=True))
    assert np.allclose(got, Enumeration(tiny).predict(visit), rtol=1e-9, atol=1e-12)
