"""What the next step may read of the visit so far, and the emission shares that depend on it.

The generator and the forward algorithm both stand on this file; the tests hold it against an
independent enumeration of all hidden paths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.shop.config import CART, CARTED, MEMORY, NEW, PURCHASE, SEEN, ShopConfig
from training.shop.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass
class History:
    """State of B visits in progress.

    Attributes:
        items: int64 [B, MEMORY], distinct items of the visit, newest first; -1 = none. An item
            seen again moves to the front; the oldest is forgotten beyond MEMORY.
        carted: bool [B, MEMORY], whether the item lies in the cart.
        length: int64 [B], events so far.
        bought: bool [B], whether the newest event is a purchase.
    """

    items: Ints
    carted: NDArray[np.bool_]
    length: Ints
    bought: NDArray[np.bool_]

    @classmethod
    def empty(cls, batch: int) -> History:
        """Returns B visits before their first event."""
        return cls(
            np.full((batch, MEMORY), -1),
            np.zeros((batch, MEMORY), bool),
            np.zeros(batch, np.int64),
            np.zeros(batch, bool),
        )

    def take(self, which: Ints) -> History:
        """Returns the visits ``which`` (a copy)."""
        return History(
            self.items[which], self.carted[which], self.length[which], self.bought[which]
        )

    def status(self, items: Ints) -> Ints:
        """Returns int64 [B]: NEW, SEEN or CARTED, what was done with ``items`` [B] before."""
        match = self.items == items[:, None]
        carted = (match & self.carted).any(axis=1)
        return np.where(carted, CARTED, np.where(match.any(axis=1), SEEN, NEW))

    def observe(self, items: Ints, types: Ints) -> None:
        """Takes one event of every visit: item row and event type code, both [B]."""
        match = self.items == items[:, None]
        known = match.any(axis=1)
        place = np.where(known, match.argmax(axis=1), MEMORY - 1)
        carted = (match & self.carted).any(axis=1)
        shifted = np.arange(1, MEMORY)[None, :] <= place[:, None]
        for column, front in (
            (self.items, items),
            (self.carted, (carted | (types == CART)) & (types != PURCHASE)),
        ):
            column[:, 1:] = np.where(shifted, column[:, :-1], column[:, 1:])
            column[:, 0] = front
        self.length += 1
        self.bought = types == PURCHASE

    def anchor(self, world: World, category: Ints) -> Ints:
        """Returns int64 [B]: the item that a click on into ``category`` [B] starts from.

        It is the newest item of that category in the visit, else the newest of all; -1 = none.
        """
        match = (self.items >= 0) & (world.catalog.category[self.items] == category[:, None])
        place = np.where(match.any(axis=1), match.argmax(axis=1), 0)
        return np.asarray(self.items[np.arange(len(place)), place])


def revisit_weights(config: ShopConfig) -> Floats:
    """Returns [S, MEMORY]: weight of the items of one category by age rank, newest first."""
    rank = np.arange(MEMORY)
    rows = []
    for stage in config.stages:
        weight = stage.revisit_decay ** (rank - 1.0)
        weight[0] = stage.revisit_newest
        rows.append(weight)
    return np.array(rows)


def revisit_shares(weights: Floats) -> Floats:
    """Returns ``weights`` [..., MEMORY] of a visit's items as shares that sum to at most 1."""
    return np.asarray(weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1.0))


def neighbour_lists(
    world: World, anchor: Ints, category: Ints, day: Ints
) -> tuple[Ints, Floats, NDArray[np.bool_]]:
    """Where a click on from ``anchor`` into ``category`` leads on ``day``; all [P].

    Returns rows int64 [P, H], shares [P, H] among the released ones, and bool [P] whether there
    is any (where not, the shares are 0).
    """
    slot = np.where(
        anchor >= 0, world.neighbours.slot[world.catalog.category[anchor], category], -1
    )
    rows = world.neighbours.rows[anchor, slot]
    usable = (rows >= 0) & (world.catalog.release_day[rows] <= day[:, None])
    weight = np.where(usable & (slot >= 0)[:, None], world.neighbours.weight[anchor, slot], 0.0)
    total = weight.sum(axis=1)
    there = total > 0
    return rows, weight / np.where(there, total, 1.0)[:, None], there


def continuation(world: World, length: Ints, bought: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Returns ([B], [B]): the chance that a human's and a bot's visit goes on after ``length``.

    Both depend on what is observed alone, apart from human or bot.
    """

    def ratio(survival: Floats) -> Floats:
        padded = np.append(survival, 0.0)
        now = padded[np.minimum(length, len(survival))]
        after = padded[np.minimum(length + 1, len(survival))]
        return np.asarray(after / np.where(now > 0, now, 1.0))

    human = ratio(world.survival)
    human = np.where(bought, human * (1 - world.config.stop_after_purchase), human)
    return human, ratio(world.bot_survival)
