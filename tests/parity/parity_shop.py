"""The log that all paths must agree on: a generated shop, with everything that is rare put in."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from parity_rows import HORIZON_MS, INACTIVITY_MS, MINUTE, RULES, Row, recorded_sessions, visits

from training.prepare.config import PrepareConfig
from training.prepare.job import prepare
from training.shop.clickstream import sample_clickstream
from training.shop.config import make_config
from training.shop.files import write_shop
from training.shop.world import build_world

DAY_MS = 24 * 60 * MINUTE
LATENESS_MS = 2 * MINUTE


@dataclass(frozen=True)
class Size:
    """How large a shop is, and how often each rare thing is put into its live rows."""

    sessions: int
    items: int
    live_share: float  # of the recording's time, at its end
    rare: int
    days: int = 2
    bots: int = 4


@dataclass(frozen=True)
class Shop:
    """A prepared shop.

    Attributes:
        live: the rows from the cut on, in the order of arrival; nothing of them is trained on.
        prepared: the directory that the preparation wrote; its test split is ``live``.
        injected: per rare thing, how often it was put in.
    """

    live: list[Row]
    prepared: Path
    injected: dict[str, int]


def make_shop(directory: Path, size: Size, seed: int = 11) -> Shop:
    """Generates, injects, prepares."""
    world = build_world(
        make_config(
            seed=seed, sessions=size.sessions, items=size.items, days=size.days,
            bot_share=size.bots / size.sessions, late_share=0.01, new_item_share=0.25,
        )
    )  # fmt: skip
    write_shop(directory / "shop", world, sample_clickstream(world))
    rows = list(_read(directory / "shop" / "clickstream.parquet"))
    border = _border(rows, size)
    past, live = _split(rows, border)
    live, injected = _inject(live, size, random.Random(seed))
    _write(past + live, directory / "clickstream.parquet")
    newest = max(v[0].ts for clicks in recorded_sessions(live).values() for v in visits(clicks))
    prepare(
        PrepareConfig.model_validate(
            {
                "input": str(directory / "clickstream.parquet"),
                "columns": {"type": "event_type"},
                "ts_unit": "ms",
                "session_rules": RULES,
                "bots": {"max_events": 100},
                "min_item_support": 3,
                "split": {"test_days": (newest - border) / DAY_MS, "validation_days": 0.05},
            }
        ),
        directory / "sessions",
    )
    return Shop(live, directory / "sessions", injected)


def _read(path: Path) -> Iterator[Row]:
    columns = pq.read_table(path).to_pydict()
    now = 0
    for session, item, ts, kind in zip(
        *(columns[c] for c in ("session_id", "item_id", "ts", "event_type")), strict=True
    ):
        now = max(now, ts)
        yield Row(session, item, ts, kind, now)


def _write(rows: list[Row], path: Path) -> None:
    session, item, ts, kind, _ = zip(*rows, strict=True)
    names = {"session_id": session, "item_id": item, "ts": ts, "event_type": kind}
    pq.write_table(pa.table({n: pa.array(v) for n, v in names.items()}), path)


def _border(rows: list[Row], size: Size) -> int:
    first, last = min(r.ts for r in rows), size.days * DAY_MS
    return round(first + (1 - size.live_share) * last)


def _split(rows: list[Row], border: int) -> tuple[list[Row], list[Row]]:
    """The rows of visits that began up to ``border``, and those of the later ones."""
    live_keys = {
        (session, c.item, c.ts, c.type)
        for session, clicks in recorded_sessions(rows).items()
        for visit in visits(clicks)
        if visit[0].ts > border
        for c in visit
    }
    parts: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        parts[(row.session, row.item, row.ts, row.type) in live_keys].append(row)
    return parts


def _inject(live: list[Row], size: Size, rng: random.Random) -> tuple[list[Row], dict[str, int]]:
    """The rows with what a shop of this size would show too seldom; each row arrives when it
    says, among equals behind those that were there."""
    added: list[Row] = []
    counts: dict[str, int] = defaultdict(int)

    def put(what: str, *rows: Row) -> None:
        added.extend(rows)
        counts[what] += 1

    items = sorted({r.item for r in live})
    last: dict[str, Row] = {}
    events: dict[str, int] = defaultdict(int)
    for row in live:
        events[row.session] += 1
        if row.session not in last or row.ts > last[row.session].ts:
            last[row.session] = row
    first_ts, last_ts = live[0].ts, live[-1].ts
    for n in range(size.rare):
        start = rng.randrange(first_ts + HORIZON_MS, last_ts)
        # Sessions of which no item was ever sold: the popular slate is all there is.
        put("stranger", *(
            Row(f"stranger-{n}", f"never-sold-{n}-{i}", t := start + i * 7_001, "view", t)
            for i in range(rng.randint(2, 4))
        ))  # fmt: skip
        # Clicks that lie exactly as far apart as a session may pause, until the horizon cuts.
        put("dawdler", *(
            Row(f"dawdler-{n}", rng.choice(items), t := start + i * INACTIVITY_MS, "view", t)
            for i in range(6)
        ))  # fmt: skip
        # An unknown item, and another item of the same millisecond, in the midst of a session.
        row = rng.choice(live)
        put("curious", row._replace(item=f"unheard-of-{n}", ts=(t := row.arrived + 100), arrived=t))
        row = rng.choice(live)
        put("twin", row._replace(item=rng.choice(items), ts=row.arrived))
        # The same again at another offset.
        row = rng.choice(live)
        put("duplicate", row._replace(arrived=row.arrived + rng.randint(0, MINUTE)))
    for n, session in enumerate(rng.sample(sorted(last), 2 * size.rare)):
        # A pause of exactly the inactivity goes on, one millisecond more begins anew.
        over = n % 2
        t = last[session].ts + INACTIVITY_MS + over
        again = Row(session, rng.choice(items), t, "view", t)
        put("pause too long" if over else "longest pause", again,
            Row(session, rng.choice(items), t + 5_000, "cart", t + 5_000))  # fmt: skip
    busy = [row for row in live if events[row.session] > 100 and row.ts > first_ts + 10 * MINUTE]
    for row in rng.sample(busy, size.rare // 3):
        # Behind more clicks than a buffer holds, if the session is a bot.
        ts = row.arrived - rng.randint(MINUTE // 2, LATENESS_MS - 1_000)
        put("straggler", row._replace(ts=ts, item=rng.choice(items)))
    # Nothing may reach back over the border: its whole visit would be trained on.
    inside = [row for row in live if row.ts > first_ts + 10 * MINUTE]
    for n, row in enumerate(rng.sample(inside, size.rare)):
        # Its own session has moved the clock: one millisecond beyond the lateness, or just in it.
        over = n % 2
        ts = row.arrived - LATENESS_MS - over
        put("too late" if over else "just in time", row._replace(ts=ts, item=rng.choice(items)))
    rows = sorted(live + added, key=lambda r: r.arrived)
    return rows, dict(counts)
