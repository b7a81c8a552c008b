"""Samples visits: all visits of a batch take their n-th step together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.shop.config import (
    DWELL_EDGES,
    MECHANISMS,
    NEIGHBOUR,
    PROMOTED,
    PURCHASE,
    REVISIT,
    VIEW,
)
from training.shop.history import History, neighbour_lists, revisit_shares, revisit_weights
from training.shop.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """E events, parallel int64 arrays: visit index, catalog row, Unix ms, event type code."""

    visit: Ints
    item: Ints
    ts: Ints
    type: Ints

    @classmethod
    def join(cls, parts: list[Events]) -> Events:
        """Returns all events, ordered by visit, then time."""
        visit, item, ts, kind = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("visit", "item", "ts", "type")
        )
        order = np.lexsort((ts, visit))
        return cls(visit[order], item[order], ts[order], kind[order])


def pick(weights: Floats, rng: np.random.Generator) -> Ints:
    """Returns int64 [B]: a column of each row of ``weights`` [B, M], by its share."""
    edges = np.cumsum(weights, axis=1)
    draw = rng.random(len(weights)) * edges[:, -1]
    return np.asarray((edges <= draw[:, None]).sum(axis=1).clip(max=weights.shape[1] - 1))


def first_above(
    edges: Floats, row: tuple[Ints, ...], low: Ints, high: Ints, target: Floats
) -> Ints:
    """Returns int64 [B]: the first place in [low, high) where ``edges[row]`` exceeds ``target``.

    ``edges`` rise along the last axis; a bisection of all B at once.
    """
    # Rounding must not carry a target to the very end, beyond the last item that has a share.
    target = np.minimum(target, np.nextafter(edges[(*row, high - 1)], -np.inf))
    while (low < high).any():
        middle = np.minimum((low + high) // 2, high - 1).clip(0)
        right = (edges[(*row, middle)] <= target) & (low < high)
        low, high = (
            np.where(right, middle + 1, low),
            np.where(right | (low >= high), high, middle),
        )
    return low


class Sampler:
    """Draws visits of one world; stateless between calls."""

    def __init__(self, world: World) -> None:
        self.world = world
        stages = world.config.stages
        self._related = np.array([s.leave_to_related for s in stages])
        self._any = np.array([s.leave_to_any for s in stages])
        self._next_stage = np.array([s.next_stage for s in stages])
        self._mechanisms = np.array([s.mechanisms for s in stages])
        self._types = np.array([s.event_types for s in stages])
        self._dwell = np.array([s.dwell for s in stages])
        self._revisit = revisit_weights(world.config)
        self._promoted_edges = np.cumsum(world.promoted, axis=1)
        # [D, K, N]: running weight of a fresh find, through all categories.
        self._fresh_edges = np.cumsum(world.affinity.T * world.weight[:, None, :], axis=2)
        self._by_release = np.argsort(world.catalog.release_day, kind="stable")
        self._released = np.searchsorted(
            world.catalog.release_day[self._by_release], np.arange(world.config.days), "right"
        )

    def humans(self, start_ts: Ints, rng: np.random.Generator) -> Events:
        """Returns the events of B visits of shoppers that begin at ``start_ts`` [B]."""
        world = self.world
        visit = np.arange(len(start_ts))
        # Visits of the drawn length; a purchase may end one earlier.
        survival = world.survival[::-1]
        length = len(survival) - np.searchsorted(survival, rng.random(len(visit)), "right")
        ts = start_ts.copy()
        category, taste, stage = self._fresh_intent(world.day(ts), rng)
        history = History.empty(len(visit))
        parts: list[Events] = []
        day = world.day(ts)
        while len(visit):
            item = self._item(category, taste, stage, history, day, rng)
            kind = pick(self._types[stage, history.status(item)], rng)
            history.observe(item, kind)
            parts.append(Events(visit, item, ts, kind))
            bought = kind == PURCHASE
            goes_on = history.length < length
            goes_on &= ~bought | (rng.random(len(visit)) >= world.config.stop_after_purchase)
            on = np.flatnonzero(goes_on)
            visit, ts, length = visit[on], ts[on], length[on]
            category, taste, stage, bought = category[on], taste[on], stage[on], bought[on]
            history = history.take(on)
            day = world.day(ts)  # a click follows a link of the page it leaves
            ts = ts + dwell_times(self._dwell[stage], rng)
            category, taste, stage = self._transition(category, taste, stage, bought, day, rng)
        return Events.join(parts)

    def bots(self, start_ts: Ints, rng: np.random.Generator) -> Events:
        """Returns the events of B visits of scrapers: along the listing, sometimes a jump."""
        world, config = self.world, self.world.config
        visit, ts = np.arange(len(start_ts)), start_ts.copy()
        length = rng.integers(config.bot_length[0], config.bot_length[1] + 1, len(visit))
        item = self._any_released(world.day(ts), rng)
        dwell = np.array(config.bot_dwell)
        parts: list[Events] = []
        step = 0
        while len(visit):
            parts.append(Events(visit, item, ts, np.full(len(visit), VIEW)))
            step += 1
            on = np.flatnonzero(step < length)
            visit, ts, length, item = visit[on], ts[on], length[on], item[on]
            day = world.day(ts)
            ts = ts + dwell_times(np.tile(dwell, (len(visit), 1)), rng)
            jump = rng.random(len(visit)) >= config.bot_follow
            item = np.where(jump, self._any_released(day, rng), world.listing_next[day, item])
        return Events.join(parts)

    def _any_released(self, day: Ints, rng: np.random.Generator) -> Ints:
        place = np.floor(rng.random(len(day)) * self._released[day]).astype(np.int64)
        return np.asarray(self._by_release[place])

    def _fresh_intent(self, day: Ints, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
        category = pick(self.world.intent_prior[day], rng)
        taste = pick(self.world.taste_prior[category], rng)
        stage = pick(np.tile(self.world.start, (len(day), 1)), rng)
        return category, taste, stage

    def _transition(
        self,
        category: Ints,
        taste: Ints,
        stage: Ints,
        bought: NDArray[np.bool_],
        day: Ints,
        rng: np.random.Generator,
    ) -> tuple[Ints, Ints, Ints]:
        world = self.world
        tastes = world.taste_prior.shape[1]
        after = world.config.related_after_purchase
        related = np.where(bought, after, self._related[stage])
        anywhere = np.where(bought, 1 - after, self._any[stage])
        draw = rng.random(len(stage))
        category, taste, new_stage = (
            category.copy(),
            taste.copy(),
            pick(self._next_stage[stage], rng),
        )
        fresh = np.flatnonzero(draw < anywhere)
        category[fresh], taste[fresh], new_stage[fresh] = self._fresh_intent(day[fresh], rng)
        drift = np.flatnonzero((draw >= anywhere) & (draw < anywhere + related))
        state = pick(world.drift[category[drift] * tastes + taste[drift]], rng)
        category[drift], taste[drift] = state // tastes, state % tastes
        new_stage[drift] = pick(np.tile(world.start, (len(drift), 1)), rng)
        return category, taste, new_stage

    def _item(
        self,
        category: Ints,
        taste: Ints,
        stage: Ints,
        history: History,
        day: Ints,
        rng: np.random.Generator,
    ) -> Ints:
        """Draws how the item is found, then the item; falls back to a fresh find."""
        world = self.world
        mechanism = pick(self._mechanisms[stage], rng)
        item = np.full(len(stage), -1)
        for which in range(len(MECHANISMS)):
            rows = np.flatnonzero(mechanism == which)
            if which == REVISIT:
                item[rows] = self._revisited(category[rows], stage[rows], history.take(rows), rng)
            elif which == NEIGHBOUR:
                anchor = history.take(rows).anchor(world, category[rows])
                lists, share, there = neighbour_lists(world, anchor, category[rows], day[rows])
                place = pick(share, rng)
                item[rows] = np.where(there, lists[np.arange(len(rows)), place], -1)
            elif which == PROMOTED:
                item[rows] = self._promoted(day[rows], rng)
        rest = np.flatnonzero(item < 0)
        item[rest] = self._fresh_item(category[rest], taste[rest], day[rest], rng)
        return item

    def _revisited(
        self, category: Ints, stage: Ints, history: History, rng: np.random.Generator
    ) -> Ints:
        match = (history.items >= 0) & (
            self.world.catalog.category[history.items] == category[:, None]
        )
        rank = np.maximum(np.cumsum(match, axis=1) - 1, 0)
        share = revisit_shares(np.where(match, self._revisit[stage[:, None], rank], 0.0))
        none = np.maximum(1 - share.sum(axis=1, keepdims=True), 0.0)
        place = pick(np.concatenate([share, none], axis=1), rng)
        items = np.concatenate([history.items, np.full((len(stage), 1), -1)], axis=1)
        return np.asarray(items[np.arange(len(stage)), place])

    def _promoted(self, day: Ints, rng: np.random.Generator) -> Ints:
        items = self._promoted_edges.shape[1]
        target = rng.random(len(day)) * self._promoted_edges[day, -1]
        return first_above(
            self._promoted_edges, (day,), np.zeros_like(day), np.full_like(day, items), target
        )

    def _fresh_item(self, category: Ints, taste: Ints, day: Ints, rng: np.random.Generator) -> Ints:
        low = self.world.category_start[category]
        high = low + self.world.category_size[category]
        edges = self._fresh_edges
        before = np.where(low > 0, edges[day, taste, low - 1], 0.0)
        target = before + rng.random(len(day)) * (edges[day, taste, high - 1] - before)
        return first_above(edges, (day, taste), low, high, target)


def dwell_times(shares: Floats, rng: np.random.Generator) -> Ints:
    """Returns int64 [B] ms: a class by ``shares`` [B, classes], log-uniform inside it."""
    which = pick(shares, rng)
    edges = np.array(DWELL_EDGES, np.float64)
    low, high = edges[which], edges[which + 1]
    ms = np.floor(low * (high / low) ** rng.random(len(which))).astype(np.int64)
    return np.asarray(np.clip(ms, low.astype(np.int64), high.astype(np.int64) - 1))
