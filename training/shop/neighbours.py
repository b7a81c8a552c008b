"""Item-to-item structure: where a click on from one item leads, inside its category and beyond.

Every item has one short list per category it leads to: similar items in its own category (other
colours of the product, the same brand, a step up in price more often than down), and in related
categories what goes with it (same brand, like price, and pairs that simply belong together).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.shop.catalog import Catalog

LIST_LENGTH = 8


@dataclass(frozen=True)
class Neighbours:
    """Lists of N items; R lists an item at most, H items a list.

    Attributes:
        slot: int64 [C, C], which list of an item of the first category leads to the second; -1
            where none does.
        rows: int64 [N, R, H], neighbours; -1 = none.
        weight: float64 [N, R, H], positive where ``rows`` is.
    """

    slot: NDArray[np.int64]
    rows: NDArray[np.int64]
    weight: NDArray[np.float64]


def build_neighbours(
    catalog: Catalog, chain: NDArray[np.float64], rng: np.random.Generator
) -> Neighbours:
    """Returns the lists for every pair of categories that ``chain`` [C, C] joins."""
    categories = len(chain)
    joined = (chain > 0) | np.eye(categories, dtype=bool)
    slot = np.where(joined, np.cumsum(joined, axis=1) - 1, -1)
    n = len(catalog.category)
    rows = np.full((n, int(joined.sum(axis=1).max()), LIST_LENGTH), -1)
    weight = np.zeros(rows.shape)
    members = [np.flatnonzero(catalog.category == c) for c in range(categories)]
    brands = np.unique(catalog.brand_name, return_inverse=True)[1]
    for c in range(categories):
        for target in np.flatnonzero(joined[c]):
            a, b = members[c], members[target]
            liking = _liking(catalog, brands, a, b, same=c == target, rng=rng)
            count = min(LIST_LENGTH, liking.shape[1])
            best = np.argsort(-liking, axis=1, kind="stable")[:, :count]
            value = np.exp(np.take_along_axis(liking, best, axis=1))
            usable = value > 0  # the item itself has none
            r = slot[c, target]
            rows[a, r, :count] = np.where(usable, b[best], -1)
            weight[a, r, :count] = value
    return Neighbours(slot.astype(np.int64), rows.astype(np.int64), weight)


def _liking(
    catalog: Catalog,
    brands: NDArray[np.int64],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    same: bool,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Returns [len(a), len(b)]: log weight of a click from a to b."""
    step = catalog.price_rank[b][None, :] - catalog.price_rank[a][:, None]
    like_brand = brands[a][:, None] == brands[b][None, :]
    liking = 0.5 * np.log(catalog.popularity[b])[None, :] + rng.gumbel(0, 0.8, step.shape)
    if not same:
        return np.asarray(liking + 0.9 * like_brand - 2.0 * np.abs(step))
    like_product = catalog.product[a][:, None] == catalog.product[b][None, :]
    liking += 1.2 * like_product + 0.6 * like_brand - np.where(step >= 0, 3.0, 5.5) * np.abs(step)
    liking[a[:, None] == b[None, :]] = -np.inf
    return np.asarray(liking)
