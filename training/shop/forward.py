"""The forward algorithm over the hidden intents: exact, batched over visits.

Hidden is the pair of human or bot and, for a human, the intent (category, taste, stage). Given the
observed history the intent is a Markov chain, so the filtered distribution is a finite sum that
is carried on step by step:

    a[t](z') = P(x[t], type | z', history)
               * sum_z a[t-1](z) P(gap | z) P(visit goes on) P(z' | z, history)

Everything conditions on the visit going on, as a target is only scored where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.shop.config import FRESH, MEMORY, NEIGHBOUR, PROMOTED, REVISIT, VIEW
from training.shop.history import (
    History,
    continuation,
    neighbour_lists,
    revisit_shares,
    revisit_weights,
)
from training.shop.world import World, dwell_class

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass
class Belief:
    """What is known of B visits after their newest event.

    Attributes:
        intent: float64 [B, C, K, S], probability of each human intent.
        bot: float64 [B], probability of a bot; ``intent`` and ``bot`` sum to 1 per visit.
        history: the observed items.
        ts: int64 [B], time of the newest event.
    """

    intent: Floats
    bot: Floats
    history: History
    ts: Ints

    def take(self, which: Ints) -> Belief:
        """Returns the visits ``which`` (a copy)."""
        return Belief(self.intent[which], self.bot[which], self.history.take(which), self.ts[which])


class Forward:
    """Carries beliefs on and turns them into distributions over the next item."""

    def __init__(self, world: World) -> None:
        self.world = world
        stages = world.config.stages
        self._related = np.array([s.leave_to_related for s in stages])
        self._any = np.array([s.leave_to_any for s in stages])
        stay = 1 - self._related - self._any
        self._stay = stay[:, None] * np.array([s.next_stage for s in stages])
        self._mechanisms = np.array([s.mechanisms for s in stages])
        self._types = np.array([s.event_types for s in stages])
        self._dwell = np.array([s.dwell for s in stages])
        self._revisit = revisit_weights(world.config)
        # Shares of the first n items of a category, by how many the visit holds: [n, S, MEMORY].
        self._revisit_shares = np.stack(
            [
                revisit_shares(np.where(np.arange(MEMORY) < n, self._revisit, 0.0))
                for n in range(MEMORY + 1)
            ]
        )
        self._released = np.searchsorted(
            np.sort(world.catalog.release_day), np.arange(len(world.weight)), "right"
        )

    def begin(self, items: Ints, ts: Ints, types: Ints) -> Belief:
        """Returns the belief after the first event of B visits; all int64 [B]."""
        day = self.world.day(ts)
        # Bots return as often as shoppers, so their share of visits is that of session ids.
        bots = self.world.config.bot_share
        intent = (1 - bots) * self._fresh_intents(day)
        bot = np.full(len(ts), bots)
        history = History.empty(len(ts))
        return self._condition(intent, bot, history, items, ts, types, day)

    def advance(self, belief: Belief, items: Ints, ts: Ints, types: Ints) -> Belief:
        """Returns the belief after one more event of every visit; all int64 [B]."""
        gap = dwell_class(ts - belief.ts)
        intent = belief.intent * self._dwell[:, gap].T[:, None, None, :]
        bot = belief.bot * np.array(self.world.config.bot_dwell)[gap]
        day = self.world.day(belief.ts)
        intent, bot = self._transition(intent, bot, belief.history, day)
        return self._condition(intent, bot, belief.history, items, ts, types, day)

    def next_item(self, belief: Belief) -> Floats:
        """Returns float64 [B, N]: P(next item | events so far, there is a next one)."""
        world, history = self.world, belief.history
        day = world.day(belief.ts)
        intent, bot = self._transition(belief.intent, belief.bot, history, day)
        total = intent.sum(axis=(1, 2, 3)) + bot
        intent, bot = intent / total[:, None, None, None], bot / total
        by_stage = intent.sum(axis=2)  # [B, C, S]
        batch, categories = by_stage.shape[:2]
        found = np.zeros((batch, len(world.catalog.category)))

        rows, share, there = self._revisit_tables(history)
        weight = by_stage[np.arange(batch)[:, None], world.catalog.category[rows]]  # [B, M, S]
        mass = (weight * self._mechanisms[:, REVISIT] * share).sum(axis=2)
        np.add.at(found, (np.arange(batch)[:, None], rows), mass)
        revisit_share = np.zeros((batch, categories, len(self._related)))
        np.add.at(revisit_share, (np.arange(batch)[:, None], world.catalog.category[rows]), share)

        visit, category, anchor = self._neighbour_pairs(history)
        lists, list_share, there = neighbour_lists(world, anchor, category, day[visit])
        mass_on = (by_stage[visit, category] * self._mechanisms[:, NEIGHBOUR]).sum(axis=1)
        np.add.at(found, (visit[:, None], lists), mass_on[:, None] * list_share)
        neighbour_there = np.zeros((batch, categories))
        neighbour_there[visit, category] = there

        fresh = self._fresh_share(revisit_share, neighbour_there)  # [B, C, S]
        by_taste = np.einsum("bcks,bcs->bck", intent, fresh) / world.fresh_norm[day]
        for c, (start, size) in enumerate(
            zip(world.category_start, world.category_size, strict=True)
        ):
            block = slice(start, start + size)
            found[:, block] += (by_taste[:, c] @ world.affinity[block].T) * world.weight[day, block]

        promoted = (by_stage.sum(axis=1) * self._mechanisms[:, PROMOTED]).sum(axis=1)
        found += promoted[:, None] * world.promoted[day]
        follow = world.config.bot_follow
        found += ((1 - follow) * bot / self._released[day])[:, None] * (
            world.catalog.release_day <= day[:, None]
        )
        found[np.arange(batch), world.listing_next[day, history.items[:, 0]]] += follow * bot
        return found

    def _fresh_intents(self, day: Ints) -> Floats:
        """Returns [B, C, K, S]."""
        world = self.world
        return np.asarray(
            world.intent_prior[day][:, :, None, None]
            * world.taste_prior[None, :, :, None]
            * world.start
        )

    def _transition(
        self, intent: Floats, bot: Floats, history: History, day: Ints
    ) -> tuple[Floats, Floats]:
        """Returns the unnormalised belief one step on, before its event is seen."""
        world = self.world
        batch, categories, tastes, _ = intent.shape
        after = world.config.related_after_purchase
        bought = history.bought[:, None]
        related = np.where(bought, after, self._related)  # [B, S]
        anywhere = np.where(bought, 1 - after, self._any)
        on, bot_on = continuation(world, history.length, history.bought)
        leaving = np.einsum("bcks,bs->bck", intent, related).reshape(batch, -1)
        moved = (leaving @ world.drift).reshape(batch, categories, tastes, 1) * world.start
        moved += (intent @ self._stay) * ~bought[:, :, None, None]
        anew = np.einsum("bcks,bs->b", intent, anywhere)
        moved += anew[:, None, None, None] * self._fresh_intents(day)
        # A visit longer than any of this shop (a foreign log) goes on all the same.
        beyond = moved.sum(axis=(1, 2, 3)) * on + bot * bot_on <= 0
        on, bot_on = np.where(beyond, 1.0, on), np.where(beyond, 1.0, bot_on)
        return moved * on[:, None, None, None], bot * bot_on

    def _condition(
        self,
        intent: Floats,
        bot: Floats,
        history: History,
        items: Ints,
        ts: Ints,
        types: Ints,
        day: Ints,
    ) -> Belief:
        """Multiplies by the likelihood of the event, normalises, and takes it into the history."""
        seen = intent * self._likelihood(history, items, types, day)
        bot_seen = bot * self._bot_likelihood(history, items, types, day)
        total = seen.sum(axis=(1, 2, 3)) + bot_seen
        # An event that the model cannot produce (a context cut by others, a foreign log) tells
        # nothing but its category: the belief starts anew there.
        broken = np.flatnonzero(~(total > 0))
        if len(broken):
            prior = self._fresh_intents(day[broken])
            here = np.arange(prior.shape[1]) == self.world.catalog.category[items[broken]][:, None]
            seen[broken] = prior * here[:, :, None, None]
            bot_seen[broken] = 0.0
            total[broken] = seen[broken].sum(axis=(1, 2, 3))
        history = history.take(np.arange(len(items)))
        history.observe(items, types)
        return Belief(seen / total[:, None, None, None], bot_seen / total, history, ts)

    def _likelihood(self, history: History, items: Ints, types: Ints, day: Ints) -> Floats:
        """Returns [B, C, K, S]: P(item, type | intent, history)."""
        world = self.world
        batch = np.arange(len(items))
        category = world.catalog.category[items]
        rows, share, _ = self._revisit_tables(history)
        same = (history.items >= 0) & (world.catalog.category[rows] == category[:, None])
        revisit = np.einsum("bms,bm->bs", share, same & (rows == items[:, None]))
        revisit_total = np.einsum("bms,bm->bs", share, same)
        lists, list_share, there = neighbour_lists(
            world, history.anchor(world, category), category, day
        )
        neighbour = (list_share * (lists == items[:, None])).sum(axis=1)
        fresh = (
            world.affinity[items] * world.weight[day, items][:, None]
            / world.fresh_norm[day, category]
        )  # fmt: skip
        shares = self._mechanisms
        fresh_share = (
            shares[:, FRESH]
            + shares[:, REVISIT] * (1 - revisit_total)
            + shares[:, NEIGHBOUR] * ~there[:, None]
        )
        inside = shares[:, REVISIT] * revisit + shares[:, NEIGHBOUR] * neighbour[:, None]
        found = np.zeros((len(items), *world.shape))
        found += (shares[:, PROMOTED] * world.promoted[day, items][:, None])[:, None, None, :]
        found[batch, category] += inside[:, None, :] + fresh[:, :, None] * fresh_share[:, None, :]
        return found * self._type_shares(history, items, types)[:, None, None, :]

    def _type_shares(self, history: History, items: Ints, types: Ints) -> Floats:
        """Returns [B, S]; a type that the shop does not know is no evidence."""
        known = types < self._types.shape[2]
        shares = self._types[:, history.status(items), np.where(known, types, VIEW)].T
        return np.where(known[:, None], shares, 1.0)

    def _bot_likelihood(self, history: History, items: Ints, types: Ints, day: Ints) -> Floats:
        world, follow = self.world, self.world.config.bot_follow
        anywhere = (world.catalog.release_day[items] <= day) / self._released[day]
        last = history.items[:, 0]
        walked = follow * (world.listing_next[day, last] == items) + (1 - follow) * anywhere
        return np.where(types == VIEW, np.where(last < 0, anywhere, walked), 0.0)

    def _revisit_tables(self, history: History) -> tuple[Ints, Floats, NDArray[np.bool_]]:
        """Returns rows [B, MEMORY], their share among their category's [B, MEMORY, S], there."""
        there = history.items >= 0
        rows = np.where(there, history.items, 0)
        category = self.world.catalog.category[rows]
        same = (category[:, :, None] == category[:, None, :]) & there[:, None, :]
        count = same.sum(axis=2)
        rank = np.tril(same, -1).sum(axis=2)
        share = self._revisit_shares[count, :, rank]
        return rows, np.where(there[:, :, None], share, 0.0), there

    def _neighbour_pairs(self, history: History) -> tuple[Ints, Ints, Ints]:
        """Returns visit, category, anchor (all [P]) wherever a list leads to the category."""
        world = self.world
        categories = world.shape[0]
        anchor = np.tile(history.items[:, :1], (1, categories))
        for place in range(MEMORY - 1, -1, -1):
            item = history.items[:, place]
            there = np.flatnonzero(item >= 0)
            anchor[there, world.catalog.category[item[there]]] = item[there]
        leads = world.neighbours.slot[world.catalog.category[anchor], np.arange(categories)] >= 0
        visit, category = np.nonzero(leads & (anchor >= 0))
        return visit, category, anchor[visit, category]

    def _fresh_share(self, revisit_share: Floats, neighbour_there: Floats) -> Floats:
        shares = self._mechanisms
        return np.asarray(
            shares[:, FRESH]
            + shares[:, REVISIT] * (1 - revisit_share)
            + shares[:, NEIGHBOUR] * (1 - neighbour_there[:, :, None])
        )
