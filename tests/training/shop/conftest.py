from __future__ import annotations

import numpy as np
import pytest

from training.shop.clickstream import Clickstream, sample_clickstream
from training.shop.config import make_config
from training.shop.world import World, build_world


def tiny_config(**changes: object) -> dict[str, object]:
    """6 items, 3 categories x 2 tastes x 3 stages, and one visit in five is a bot's."""
    return {
        "items": 6,
        "sessions": 100,
        "days": 3,
        "departments": 1,
        "categories_per_department": 3,
        "brands_per_category": 1,
        "price_levels": 1,
        "new_item_share": 0.4,
        "bot_share": 0.2,
        "bot_length": (2, 5),
        "bot_dwell": (0.3, 0.3, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0),
        "length_max": 6,
        **changes,
    }


@pytest.fixture(scope="session")
def tiny() -> World:
    return build_world(make_config(**tiny_config(seed=4)))


@pytest.fixture(scope="session")
def shop() -> World:
    """The default shop with fewer sessions."""
    return build_world(make_config(sessions=8_000))


@pytest.fixture(scope="session")
def log(shop: World) -> Clickstream:
    return sample_clickstream(shop)


@pytest.fixture(scope="session")
def visits(log: Clickstream) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, bool]]:
    """Items, times, types of each visit without duplicates, and whether it is a bot's."""
    order = np.lexsort((log.ts, log.visit))
    columns = [c[order] for c in (log.visit, log.ts, log.item, log.type, log.session)]
    twice = np.ones(len(order), bool)
    for column in columns:
        twice[1:] &= column[1:] == column[:-1]
    twice[0] = False
    visit, ts, item, kind, session = (c[~twice] for c in columns)
    first = np.flatnonzero(np.diff(visit, prepend=-1))
    parts = zip(*(np.split(c, first[1:]) for c in (item, ts, kind)), strict=True)
    return [(*part, bool(b)) for part, b in zip(parts, log.bot[session[first]], strict=True)]  # type: ignore[misc]
