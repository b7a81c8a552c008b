"""The log: sessions with their visits, bots, devices and countries, in the order of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.shop.clock import return_gaps, visit_starts
from training.shop.config import DAY_MS, ShopConfig
from training.shop.visits import Events, Sampler
from training.shop.vocabulary import COUNTRIES, DEVICES
from training.shop.world import World

CHUNK = 25_000  # sessions sampled at once; part of the seed's meaning
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Clickstream:
    """A log of R rows in the order of arrival, and what only the generator knows.

    Attributes:
        session: int64 [R], index of the session, 0 to S - 1.
        item, ts, type: int64 [R], catalog row, Unix ms, event type code.
        visit: int64 [R], visits of one session number on; unique over the log.
        device, country: int64 [S], index into DEVICES and COUNTRIES; independent of what is seen.
        bot: bool [S].
        duplicates, late: rows written twice, and rows that arrived well after their time.
    """

    session: Ints
    item: Ints
    ts: Ints
    type: Ints
    visit: Ints
    device: Ints
    country: Ints
    bot: NDArray[np.bool_]
    duplicates: int
    late: int


def sample_clickstream(world: World) -> Clickstream:
    """Returns the whole log of the world's config; equal configs give equal logs."""
    config = world.config
    rng = np.random.default_rng([config.seed, 2])
    device = rng.choice(len(DEVICES), config.sessions, p=[share for _, share in DEVICES])
    country = rng.choice(len(COUNTRIES), config.sessions, p=[share for _, share, _ in COUNTRIES])
    bot = rng.random(config.sessions) < config.bot_share
    parts: list[tuple[Ints, Ints, Events]] = []  # session and visit of each event
    visits = 0
    for session, events in _chunks(world, country, bot):
        parts.append((session[events.visit], events.visit + visits, events))
        visits += len(session)
    session, visit = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    item, ts, kind = (
        np.concatenate([getattr(part[2], name) for part in parts])
        for name in ("item", "ts", "type")
    )
    rows, late, duplicates = _arrival_order(config, ts, rng)
    return Clickstream(
        session[rows], item[rows], ts[rows], kind[rows], visit[rows],
        device, country, bot, duplicates, late,
    )  # fmt: skip


def _chunks(world: World, country: Ints, bot: NDArray[np.bool_]) -> Iterator[tuple[Ints, Events]]:
    """Yields (session of each visit, events) for bots and humans of one chunk after another."""
    config, sampler = world.config, Sampler(world)
    after = config.start_ms() + config.days * DAY_MS
    for first in range(0, config.sessions, CHUNK):
        rng = np.random.default_rng([config.seed, 3, first // CHUNK])
        session = np.arange(first, min(first + CHUNK, config.sessions))
        start = visit_starts(config, country[session], rng)
        while len(session):
            end = np.empty(len(session), np.int64)
            for sample, group in (
                (sampler.bots, np.flatnonzero(bot[session])),
                (sampler.humans, np.flatnonzero(~bot[session])),
            ):
                if len(group):
                    events = sample(start[group], rng)
                    yield session[group], events
                    end[group] = start[group]
                    np.maximum.at(end, group[events.visit], events.ts)
            start = end + return_gaps(len(session), rng)
            # The recording begins no visit after its last day.
            back = (rng.random(len(session)) < config.return_share) & (start < after)
            session, start = session[back], start[back]


def _arrival_order(config: ShopConfig, ts: Ints, rng: np.random.Generator) -> tuple[Ints, int, int]:
    """Returns the rows in the order of arrival with duplicates, and how many were late, doubled.

    Most rows arrive at once; a few from devices that were offline for seconds to minutes; a few
    are sent twice, a little later.
    """
    late = rng.random(len(ts)) < config.late_share
    delay = np.zeros(len(ts), np.int64)
    delay[late] = np.floor(2_000 * 300.0 ** rng.random(int(late.sum()))).astype(np.int64)
    twice = np.flatnonzero(rng.random(len(ts)) < config.duplicate_share)
    again = ts[twice] + delay[twice] + rng.integers(100, 60_000, len(twice))
    arrival = np.concatenate([ts + delay, again])
    rows = np.concatenate([np.arange(len(ts)), twice])
    # Sessions stand in chunks, so ties of the clock need a rule: the order of sampling.
    return rows[np.lexsort((rows, arrival))], int(late.sum()), len(twice)
