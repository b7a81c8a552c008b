"""The products: categories, brands, product lines with variants, readable unique names, prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.shop.config import DAY_MS, ShopConfig
from training.shop.vocabulary import BRANDS, DEPARTMENTS, LINES, BrandWords, CategoryWords


@dataclass(frozen=True)
class Catalog:
    """N items, sorted by category; arrays are parallel, rows are the item's index everywhere.

    Attributes:
        item_id: N decimal strings.
        name: N readable, unique names.
        category: int64 [N], index into ``category_names``; non-decreasing.
        brand: int64 [N], index into ``category_brands[category]``.
        brand_name: N names.
        price: float64 [N], in euros.
        price_rank: float64 [N], place among the category's prices, inside (0, 1).
        product: int64 [N], items that differ only in colour share it.
        release_day: int64 [N], day of the recording from which it is sold; 0 or less = from start.
        first_seen: int64 [N], Unix milliseconds of the release.
        popularity: float64 [N], base weight inside the category.
        category_names: C names.
        category_department: int64 [C].
        category_brands: C tuples of the brands sold there.
    """

    item_id: list[str]
    name: list[str]
    category: NDArray[np.int64]
    brand: NDArray[np.int64]
    brand_name: list[str]
    price: NDArray[np.float64]
    price_rank: NDArray[np.float64]
    product: NDArray[np.int64]
    release_day: NDArray[np.int64]
    first_seen: NDArray[np.int64]
    popularity: NDArray[np.float64]
    category_names: list[str]
    category_department: NDArray[np.int64]
    category_brands: list[tuple[BrandWords, ...]]


def build_catalog(config: ShopConfig, rng: np.random.Generator) -> Catalog:
    """Returns the shop's catalog; all chance comes from ``rng``."""
    words = [
        (d, category)
        for d, department in enumerate(DEPARTMENTS[: config.departments])
        for category in department.categories[: config.categories_per_department]
    ]
    sizes = _category_sizes(config.items, len(words), rng)
    names: list[str] = []
    brand_names: list[str] = []
    columns: list[NDArray[np.float64]] = []  # brand, price, price rank, product, popularity
    category_brands: list[tuple[BrandWords, ...]] = []
    products = 0
    for (d, category), size in zip(words, sizes, strict=True):
        brands = _pick_brands(DEPARTMENTS[d].name, config.brands_per_category, rng)
        category_brands.append(brands)
        block, block_names = _category_items(config, category, brands, int(size), products, rng)
        products = int(block[:, 3].max()) + 1
        columns.append(block)
        names.extend(block_names)
        brand_names.extend(brands[int(b)].name for b in block[:, 0])
    table = np.concatenate(columns)
    category_column = np.repeat(np.arange(len(words)), sizes)
    release_day = _release_days(config, category_column, rng)
    # Older items carry lower numbers, as item numbers of a real shop do.
    age_order = np.empty(config.items, np.int64)
    age_order[np.lexsort((rng.random(config.items), release_day))] = np.arange(config.items)
    return Catalog(
        item_id=[str(100_000 + 7 * int(place)) for place in age_order],
        name=names,
        category=category_column,
        brand=table[:, 0].astype(np.int64),
        brand_name=brand_names,
        price=table[:, 1],
        price_rank=table[:, 2],
        product=table[:, 3].astype(np.int64),
        release_day=release_day,
        first_seen=config.start_ms() + release_day * DAY_MS,
        popularity=table[:, 4],
        category_names=[category.name for _, category in words],
        category_department=np.array([d for d, _ in words]),
        category_brands=category_brands,
    )


def _category_sizes(items: int, categories: int, rng: np.random.Generator) -> NDArray[np.int64]:
    share = rng.dirichlet(np.full(categories, 8.0))
    sizes = 1 + np.floor(share * (items - categories)).astype(np.int64)
    sizes[np.argsort(-share)[: items - int(sizes.sum())]] += 1
    return np.asarray(sizes)


def _pick_brands(department: str, count: int, rng: np.random.Generator) -> tuple[BrandWords, ...]:
    own = [brand for brand in BRANDS if department in brand.departments]
    picked = rng.choice(len(own), size=min(count, len(own)), replace=False)
    return tuple(own[i] for i in sorted(picked))


def _category_items(
    config: ShopConfig,
    category: CategoryWords,
    brands: tuple[BrandWords, ...],
    size: int,
    first_product: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], list[str]]:
    """Products of one category, each in one to four colours, until the category is full."""
    brand_weight = rng.dirichlet(np.full(len(brands), 2.5))
    rows: list[tuple[float, float, float, float, float]] = []
    names: list[str] = []
    used: set[str] = set()
    product = first_product
    while len(rows) < size:
        brand = int(rng.choice(len(brands), p=brand_weight))
        line = LINES[int(rng.integers(len(LINES)))]
        spec = int(rng.integers(len(category.specs)))
        title = f"{brands[brand].name} {line} {category.specs[spec]} {category.noun}"
        generation = 2
        while title in used:  # a shop that outgrew the words numbers its generations
            title = (
                f"{brands[brand].name} {line} {generation} {category.specs[spec]} {category.noun}"
            )
            generation += 1
        used.add(title)
        tier = (0.66, 1.0, 1.6)[brands[brand].tier]
        price = category.price * tier * (1 + 0.1 * spec) * float(np.exp(rng.normal(0, 0.14)))
        popularity = float(np.exp(rng.normal(0, config.popularity_sigma)))
        colours = min(int(rng.choice(4, p=(0.35, 0.35, 0.2, 0.1))) + 1, size - len(rows))
        share = np.sort(rng.dirichlet(np.full(colours, 1.5)))[::-1]
        for which, c in enumerate(rng.choice(len(category.variants), size=colours, replace=False)):
            names.append(f"{title}, {category.variants[int(c)]}")
            rows.append((brand, _shelf_price(price), 0.0, product, popularity * share[which]))
        product += 1
    table = np.array(rows)
    order = np.lexsort((np.arange(size), table[:, 1]))
    table[order, 2] = (np.arange(size) + 0.5) / size
    return table, names


def _shelf_price(price: float) -> float:
    """Prices as shops write them: 4.49, 17.95, 129.00."""
    if price < 10:
        return round(max(price, 1.0) * 2) / 2 - 0.01
    return round(price) - 0.05 if price < 100 else float(round(price / 5) * 5 - 1)


def _release_days(
    config: ShopConfig, category: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """A share of the items appears during the recording; each category has one from the start."""
    n = len(category)
    days = -rng.integers(0, 700, size=n)
    new = rng.random(n) < config.new_item_share
    days[new] = rng.integers(0, config.days, size=int(new.sum()))
    first_of_category = np.flatnonzero(np.diff(category, prepend=-1))
    days[first_of_category] = np.minimum(days[first_of_category], 0)
    return days.astype(np.int64)
