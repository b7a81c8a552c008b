"""Every probability table of the shop, built from the config and its seed alone.

States of the hidden intent are (category c, taste k, stage s). A taste is a price level or, after
those, one of the category's brands. Days index the recording; times outside clip to its ends.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from math import erf, log, sqrt

import numpy as np
from numpy.typing import NDArray

from training.shop.catalog import Catalog, build_catalog
from training.shop.config import DAY_MS, DWELL_EDGES, ShopConfig
from training.shop.neighbours import Neighbours, build_neighbours
from training.shop.vocabulary import BRIDGES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """N items, D days, C categories, K tastes, S stages; all shares are float64 and sum to 1.

    Attributes:
        config: what it was built from.
        catalog: the items.
        start: [S], stage in which a fresh intent begins.
        intent_prior: [D, C], category of a fresh intent.
        taste_prior: [C, K], taste of a fresh intent.
        drift: [C*K, C*K], to which category and taste an intent moves that leaves for a related
            one (its stage is then drawn from ``start``).
        affinity: [N, K], how much an item suits each taste of its own category (weights).
        weight: [D, N], popularity on a day (weights); 0 before the release.
        fresh_norm: [D, C, K], sums of ``affinity * weight`` over the category.
        promoted: [D, N], the share of each item among best-seller clicks.
        neighbours: where a click on from an item leads.
        category_start, category_size: [C], the block of rows of each category.
        survival: [L + 1], share of human visits with more than n events before purchases end them.
        bot_survival: [Lb + 1], the same for bots.
        listing_next: int64 [D, N], the item after this one in the listing, among those released.
    """

    config: ShopConfig
    catalog: Catalog
    start: Floats
    intent_prior: Floats
    taste_prior: Floats
    drift: Floats
    affinity: Floats
    weight: Floats
    fresh_norm: Floats
    promoted: Floats
    neighbours: Neighbours
    category_start: Ints
    category_size: Ints
    survival: Floats
    bot_survival: Floats
    listing_next: Ints

    @property
    def shape(self) -> tuple[int, int, int]:
        """Categories, tastes, stages."""
        categories, tastes = self.taste_prior.shape
        return categories, tastes, len(self.start)

    def day(self, ts: Ints) -> Ints:
        """Returns the day index of Unix milliseconds, clipped to the recording."""
        days = (ts - self.config.start_ms()) // DAY_MS
        return np.clip(days, 0, len(self.weight) - 1).astype(np.int64)

    def fingerprint(self) -> str:
        """Returns 16 hex digits that change whenever a table or a name does."""
        digest = hashlib.sha256()
        for owner in (self, self.catalog, self.neighbours):
            for field in fields(owner):
                value = getattr(owner, field.name)
                if isinstance(value, np.ndarray):
                    # Rounded: the last bits of exp and log differ between machines.
                    digest.update((np.round(value.astype(np.float64), 6) + 0.0).tobytes())
        digest.update("\n".join(self.catalog.name).encode())
        return digest.hexdigest()[:16]


def dwell_class(gap_ms: Ints) -> Ints:
    """Returns the class of each gap; gaps outside the edges belong to the first or last class."""
    place = np.searchsorted(DWELL_EDGES, gap_ms, "right") - 1
    return np.asarray(np.clip(place, 0, len(DWELL_EDGES) - 2), np.int64)


def build_world(config: ShopConfig) -> World:
    """Returns the shop's tables; equal configs give equal worlds."""
    rng = np.random.default_rng([config.seed, 1])
    catalog = build_catalog(config, rng)
    categories = len(catalog.category_names)
    size = np.bincount(catalog.category, minlength=categories)
    starts = np.cumsum(size) - size
    taste_prior, affinity = _tastes(config, catalog)
    intent_prior = _intent_prior(config, catalog, rng)
    weight = _weights(config, catalog, rng)
    fresh_norm = np.stack([np.add.reduceat(affinity * w[:, None], starts, axis=0) for w in weight])
    share_in_category = weight / np.add.reduceat(weight, starts, axis=1)[:, catalog.category]
    chain = related_categories(catalog)
    lengths = _length_survival(config)
    return World(
        config=config,
        catalog=catalog,
        start=np.array([stage.start for stage in config.stages]),
        intent_prior=intent_prior,
        taste_prior=taste_prior,
        drift=_drift(config, catalog, chain, taste_prior),
        affinity=affinity,
        weight=weight,
        fresh_norm=fresh_norm,
        promoted=share_in_category * intent_prior[:, catalog.category],
        neighbours=build_neighbours(catalog, chain, rng),
        category_start=starts,
        category_size=size,
        survival=lengths,
        bot_survival=_bot_survival(config),
        listing_next=_listing_next(catalog.release_day, config.days),
    )


def related_categories(catalog: Catalog) -> Floats:
    """Returns [C, C]: where a leaving intent goes. The journey runs forward in a department."""
    department = catalog.category_department
    index = {name: c for c, name in enumerate(catalog.category_names)}
    chain = np.zeros((len(department), len(department)))
    forward = {0: 0.15, 1: 0.42, 2: 0.20, 3: 0.10, -1: 0.08}  # 0: same category, another taste
    for c, d in enumerate(department):
        for step, share in forward.items():
            if 0 <= c + step < len(department) and department[c + step] == d:
                chain[c, c + step] = share
    for source, target in BRIDGES:
        if source in index and target in index:
            chain[index[source], index[target]] += 0.12
    return np.asarray(chain / chain.sum(axis=1, keepdims=True))


def _tastes(config: ShopConfig, catalog: Catalog) -> tuple[Floats, Floats]:
    levels, brands = config.price_levels, config.brands_per_category
    categories = len(catalog.category_names)
    prior = np.zeros((categories, levels + brands))
    by_level = np.array((0.38, 0.38, 0.24, 0.2, 0.2))[:levels]
    prior[:, :levels] = 0.65 * by_level / by_level.sum()
    sold = np.zeros((categories, brands))
    np.add.at(sold, (catalog.category, catalog.brand), catalog.popularity)
    prior[:, levels:] = 0.35 * sold / sold.sum(axis=1, keepdims=True)
    centre = (np.arange(levels) + 0.5) / levels
    by_price = np.exp(-(((catalog.price_rank[:, None] - centre) * levels / 0.9) ** 2)) + 0.02
    by_brand = np.where(catalog.brand[:, None] == np.arange(brands), 1.0, 0.06)
    return prior, np.concatenate([by_price, by_brand], axis=1)


def _intent_prior(config: ShopConfig, catalog: Catalog, rng: np.random.Generator) -> Floats:
    categories = len(catalog.category_names)
    position = np.arange(categories) - np.searchsorted(
        catalog.category_department, catalog.category_department
    )
    base = np.exp(rng.normal(0, 0.5, categories)) * 0.88**position
    period = rng.uniform(70, 240, categories)
    phase = rng.uniform(0, 2 * np.pi, categories)
    day = np.arange(config.days)[:, None]
    season = 1 + config.season_amplitude * np.sin(2 * np.pi * day / period + phase)
    prior = base * season
    return np.asarray(prior / prior.sum(axis=1, keepdims=True))


def _weights(config: ShopConfig, catalog: Catalog, rng: np.random.Generator) -> Floats:
    """Popularity by day: a slow random walk, and new items draw attention for a while."""
    weeks = config.days // 7 + 2
    walk = np.cumsum(rng.normal(0, config.trend_sigma, (weeks, config.items)), axis=0)
    day = np.arange(config.days)[:, None]
    share = (day % 7) / 7
    trend = walk[day[:, 0] // 7] * (1 - share) + walk[day[:, 0] // 7 + 1] * share
    age = day - catalog.release_day
    novelty = np.where(age >= 0, 1 + 1.5 * np.exp(-np.maximum(age, 0) / 10), 0.0)
    return np.asarray(catalog.popularity * np.exp(trend) * novelty)


def _drift(config: ShopConfig, catalog: Catalog, chain: Floats, taste_prior: Floats) -> Floats:
    categories, tastes = taste_prior.shape
    levels, keep = config.price_levels, config.taste_persistence
    drift = np.zeros((categories, tastes, categories, tastes))
    for c, target in zip(*np.nonzero(chain), strict=True):
        move = np.tile((1 - keep) * taste_prior[target], (tastes, 1))
        sold = {brand.name: b for b, brand in enumerate(catalog.category_brands[target])}
        for k in range(tastes):
            if c == target:  # the same category again: the taste is thought over
                move[k] = taste_prior[target]
            elif k < levels:
                move[k, k] += keep
            else:
                brands = catalog.category_brands[c]
                brand = brands[k - levels] if k - levels < len(brands) else None
                if brand is None:
                    move[k] = taste_prior[target]
                elif brand.name in sold:
                    move[k, levels + sold[brand.name]] += keep
                else:  # not sold there: what is left of the brand is its price level
                    move[k, min(brand.tier, levels - 1)] += keep
        drift[c, :, target, :] = chain[c, target] * move
    return drift.reshape(categories * tastes, categories * tastes)


def _length_survival(config: ShopConfig) -> Floats:
    """P(length > n) for n = 0..L of a log-normal rounded up, cut at ``length_max``."""
    n = np.arange(config.length_max + 1)
    if config.length_sigma == 0:
        survival = (n < np.ceil(config.length_median)).astype(np.float64)
    else:
        z = [
            (log(x) - log(config.length_median)) / (config.length_sigma * sqrt(2)) if x else -9.0
            for x in n
        ]
        survival = np.array([0.5 * (1 - erf(v)) for v in z])
    survival[0], survival[-1] = 1.0, 0.0
    return np.asarray(survival)


def _bot_survival(config: ShopConfig) -> Floats:
    low, high = config.bot_length
    n = np.arange(high + 1)
    return np.asarray(np.clip((high - n) / (high - low + 1), 0.0, 1.0))


def _listing_next(release_day: Ints, days: int) -> Ints:
    table = np.empty((days, len(release_day)), np.int64)
    for day in range(days):
        released = np.flatnonzero(release_day <= day)
        place = np.searchsorted(released, np.arange(len(release_day)), "right")
        table[day] = released[place % len(released)]
    return table
