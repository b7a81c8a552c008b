"""Settings of the generated shop: size, calendar, noise, and the shopper's hidden stages.

The defaults were chosen for realism before any model had seen the shop, and stay as they are.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from session_rec.errors import ConfigError
from training.shop.vocabulary import DEPARTMENTS

EVENT_TYPES = ("view", "cart", "purchase")
VIEW, CART, PURCHASE = range(3)
# What the shopper already did with the item of an event: nothing, looked at it, carted it.
STATUSES = ("new", "seen", "carted")
NEW, SEEN, CARTED = range(3)
# How the next item is found. The first two need history; without it their share is FRESH's.
MECHANISMS = ("revisit", "neighbour", "fresh", "promoted")
REVISIT, NEIGHBOUR, FRESH, PROMOTED = range(4)
# Edges in ms of the classes of dwell time; inside a class the time is log-uniform.
DWELL_EDGES = (300, 1_500, 5_000, 15_000, 40_000, 120_000, 300_000, 600_000, 1_500_000)
# The shopper's memory: how many distinct items of the visit the next step may refer to.
MEMORY = 12
DAY_MS = 86_400_000

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Shares = tuple[Share, ...]


def _check_sums(name: str, shares: Shares, size: int) -> None:
    if len(shares) != size or abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(f"{name} must be {size} shares that sum to 1, got {shares}")


class Stage(BaseModel):
    """One stage of an intent. Tuples follow MECHANISMS, STATUSES, EVENT_TYPES, dwell classes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    start: Share  # share of fresh intents that begin in this stage
    leave_to_related: Share  # per click: on to a related category
    leave_to_any: Share  # per click: a new intent that has nothing to do with this one
    next_stage: Shares  # while the intent stays
    mechanisms: Shares
    # Weights of the items of the category already in the visit: the newest, 1 for the second
    # newest, then falling. What they lack of 1 is looked for fresh.
    revisit_newest: Annotated[float, Field(gt=0.0)]
    revisit_decay: Annotated[float, Field(gt=0.0, le=1.0)]
    event_types: tuple[Shares, Shares, Shares]  # by status of the item
    dwell: Shares

    @model_validator(mode="after")
    def _sums(self) -> Self:
        _check_sums(f"stage {self.name}: mechanisms", self.mechanisms, len(MECHANISMS))
        _check_sums(f"stage {self.name}: dwell", self.dwell, len(DWELL_EDGES) - 1)
        for status, shares in zip(STATUSES, self.event_types, strict=True):
            _check_sums(f"stage {self.name}: event types of {status}", shares, len(EVENT_TYPES))
        if self.leave_to_related + self.leave_to_any > 1.0:
            raise ValueError(f"stage {self.name}: the shares that leave sum to more than 1")
        return self


EXPLORE = Stage(
    name="explore",
    start=0.84,
    leave_to_related=0.14,
    leave_to_any=0.05,
    next_stage=(0.66, 0.30, 0.04),
    mechanisms=(0.08, 0.41, 0.45, 0.06),
    revisit_newest=0.25,
    revisit_decay=0.6,
    event_types=((0.988, 0.012, 0.0), (0.97, 0.03, 0.0), (0.96, 0.0, 0.04)),
    dwell=(0.004, 0.126, 0.30, 0.30, 0.18, 0.06, 0.02, 0.01),
)
COMPARE = Stage(
    name="compare",
    start=0.13,
    leave_to_related=0.08,
    leave_to_any=0.03,
    next_stage=(0.15, 0.73, 0.12),
    mechanisms=(0.32, 0.46, 0.19, 0.03),
    revisit_newest=0.15,
    revisit_decay=0.7,
    event_types=((0.98, 0.02, 0.0), (0.94, 0.06, 0.0), (0.93, 0.0, 0.07)),
    dwell=(0.002, 0.058, 0.18, 0.30, 0.27, 0.12, 0.05, 0.02),
)
BUY = Stage(
    name="buy",
    start=0.03,
    leave_to_related=0.10,
    leave_to_any=0.04,
    next_stage=(0.05, 0.35, 0.60),
    mechanisms=(0.64, 0.19, 0.15, 0.02),
    revisit_newest=3.0,
    revisit_decay=0.5,
    event_types=((0.80, 0.20, 0.0), (0.35, 0.65, 0.0), (0.50, 0.0, 0.50)),
    dwell=(0.002, 0.048, 0.14, 0.25, 0.29, 0.17, 0.08, 0.02),
)


class ShopConfig(BaseModel):
    """Everything that a shop and its clickstream are made from; equal configs give equal bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int, Field(ge=0)] = 7
    sessions: Annotated[int, Field(ge=1)] = 60_000
    items: Annotated[int, Field(ge=2)] = 2_000
    start: str = "2026-03-02"  # midnight UTC of this day
    days: Annotated[int, Field(ge=1, le=3_650)] = 90

    departments: Annotated[int, Field(ge=1, le=len(DEPARTMENTS))] = len(DEPARTMENTS)
    categories_per_department: Annotated[int, Field(ge=1, le=8)] = 8
    brands_per_category: Annotated[int, Field(ge=1, le=5)] = 5
    price_levels: Annotated[int, Field(ge=1, le=5)] = 3

    popularity_sigma: Annotated[float, Field(ge=0.0)] = 1.1  # log-normal, inside a category
    trend_sigma: Annotated[float, Field(ge=0.0)] = 0.15  # log popularity, step per week
    season_amplitude: Share = 0.35  # of the categories' popularity
    new_item_share: Share = 0.15  # items that appear during the recording
    taste_persistence: Share = 0.8  # price level and brand kept when the category changes

    stages: tuple[Stage, ...] = (EXPLORE, COMPARE, BUY)
    related_after_purchase: Share = 0.7  # else a fresh intent; a purchase always ends one
    stop_after_purchase: Share = 0.55

    length_median: Annotated[float, Field(gt=0.0)] = 3.2  # events of a visit, log-normal
    length_sigma: Annotated[float, Field(ge=0.0)] = 0.85
    length_max: Annotated[int, Field(ge=1)] = 80
    return_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.12  # another visit, same session id
    bot_share: Share = 0.0008  # of the session ids
    bot_length: tuple[int, int] = (120, 420)
    bot_follow: Share = 0.9  # the next item of the listing, else a jump anywhere
    bot_dwell: Shares = (0.93, 0.07, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    late_share: Share = 0.005
    duplicate_share: Share = 0.004

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_sums("start of the stages", tuple(s.start for s in self.stages), len(self.stages))
        _check_sums("bot_dwell", self.bot_dwell, len(DWELL_EDGES) - 1)
        for stage in self.stages:
            _check_sums(f"stage {stage.name}: next_stage", stage.next_stage, len(self.stages))
        if not 1 <= self.bot_length[0] <= self.bot_length[1]:
            raise ValueError(f"bot_length must be a rising range, got {self.bot_length}")
        categories = self.departments * self.categories_per_department
        if self.items < categories:
            raise ValueError(
                f"{self.items} items cannot fill {categories} categories; ask for more items"
            )
        self.start_ms()
        return self

    def start_ms(self) -> int:
        """Returns the first millisecond of the recording (Unix time, UTC)."""
        try:
            day = datetime.strptime(self.start, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise ValueError(f"start {self.start!r} is not a day; write it as 2026-03-02") from None
        return int(day.timestamp() * 1000)


def make_config(**values: object) -> ShopConfig:
    """Returns a validated config; raises ConfigError with one sentence where a value is wrong."""
    try:
        return ShopConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f", {part}" for part in first["loc"])
        raise ConfigError(f"shop settings{where}: {first['msg']}") from None
