"""When visits begin: a day has a rhythm, a week too, and the shop grows a little."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.shop.config import DAY_MS, ShopConfig
from training.shop.vocabulary import COUNTRIES

HOUR_MS = 3_600_000
# Visits by local hour (0 to 23) and by weekday (Monday first), in parts.
HOURS = (9, 5, 3, 2, 2, 3, 8, 18, 28, 35, 40, 43, 46, 44, 42, 43, 46, 52, 60, 72, 80, 74, 50, 24)
WEEKDAYS = (1.02, 0.98, 0.97, 0.97, 0.95, 1.05, 1.25)
GROWTH = 0.15  # from the first day to the last
RETURN_AFTER_MS = (35 * 60_000, 3 * DAY_MS)  # longer than any rule calls one session


def visit_starts(
    config: ShopConfig, country: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Returns int64 [B] Unix ms: a start inside the recording for a visitor of each country."""
    day = np.arange(config.days)
    first = (config.start_ms() // DAY_MS + 3) % 7  # 1970-01-01 was a Thursday
    by_day = np.array(WEEKDAYS)[(day + first) % 7] * (1 + GROWTH * day / config.days)
    by_hour = np.array(HOURS, np.float64)
    days = np.searchsorted(np.cumsum(by_day) / by_day.sum(), rng.random(len(country)), "right")
    local = np.searchsorted(np.cumsum(by_hour) / by_hour.sum(), rng.random(len(country)), "right")
    ahead = np.array([hours for _, _, hours in COUNTRIES])[country]
    hour = (np.minimum(local, 23) - ahead) % 24
    inside = rng.integers(0, HOUR_MS, len(country))
    midnight = config.start_ms() + np.minimum(days, config.days - 1) * DAY_MS
    return np.asarray(midnight + hour * HOUR_MS + inside)


def return_gaps(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns int64 [B] ms: log-uniform time between a visit's end and the next of the same id."""
    low, high = RETURN_AFTER_MS
    return np.asarray(np.floor(low * (high / low) ** rng.random(count)), np.int64)
