"""The ceiling against what the generator really does, and its behaviour at the edges."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from session_rec.ragged import Ragged
from training.shop.ceiling import Ceiling, ceiling_metrics, prefix_chains
from training.shop.clickstream import sample_clickstream
from training.shop.config import DAY_MS, DWELL_EDGES, make_config
from training.shop.world import World, build_world

Visits = list[tuple[np.ndarray, np.ndarray, np.ndarray, bool]]


def ragged(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Ragged:
    items, ts, types = (np.concatenate(column) for column in zip(*parts, strict=True))
    offsets = np.cumsum([0, *(len(part[0]) for part in parts)])
    return Ragged(items.astype(np.int32), offsets, ts, types.astype(np.int8))


def positions(visits: Visits) -> tuple[Ragged, np.ndarray]:
    """Every position of every visit: the events before it, and its item."""
    parts, targets = [], []
    for items, ts, types, _ in visits:
        for n in range(1, len(items)):
            parts.append((items[:n], ts[:n], types[:n]))
            targets.append(items[n])
    return ragged(parts), np.array(targets)


def test_simulated_next_items_follow_the_distribution() -> None:
    """Chi-square over the contexts that a tiny shop repeats most, with lengths 1 to 3."""
    world = build_world(
        make_config(
            seed=11, items=8, sessions=150_000, days=2, departments=1, categories_per_department=3,
            brands_per_category=1, price_levels=2, bot_share=0.1, bot_length=(2, 6), length_max=6,
            bot_dwell=(0.2, 0.4, 0.4, 0, 0, 0, 0, 0), late_share=0, duplicate_share=0,
            new_item_share=0.3,
        )
    )  # fmt: skip
    log = sample_clickstream(world)
    order = np.lexsort((log.ts, log.visit))
    visit, item, ts, kind = (c[order] for c in (log.visit, log.item, log.ts, log.type))
    day = (ts - world.config.start_ms()) // DAY_MS
    gap = np.searchsorted(DWELL_EDGES, np.diff(ts, prepend=0), "right")
    gap[np.flatnonzero(np.diff(visit, prepend=-1))] = -1
    tested = 0
    for length in (1, 2, 3):
        # Contexts equal in all that the model may read share one predictive distribution.
        keys: Counter[tuple[int, ...]] = Counter()
        following: dict[tuple[int, ...], np.ndarray] = {}
        at: dict[tuple[int, ...], int] = {}
        first = np.flatnonzero(np.diff(visit, prepend=-1))
        first = first[first + length < len(visit)]
        first = first[visit[first + length] == visit[first]]
        columns = [c[first[:, None] + np.arange(length)] for c in (item, kind, day, gap)]
        for row, *key in zip(first, *(c.tolist() for c in columns), strict=True):
            name = tuple(v for part in key for v in part)
            keys[name] += 1
            at[name] = int(row)
            following.setdefault(name, np.zeros(8))[item[row + length]] += 1
        ceiling = Ceiling(world)
        for name, count in keys.most_common(25):
            where = slice(at[name], at[name] + length)
            p = ceiling.predict(item[where], ts[where], kind[where])
            seen = following[name]
            assert (seen[p == 0] == 0).all()
            usual = p * count >= 5
            expected = np.append(p[usual], p[~usual].sum()) * count
            observed = np.append(seen[usual], seen[~usual].sum())
            keep = expected > 0
            statistic = ((observed - expected)[keep] ** 2 / expected[keep]).sum()
            # 75 contexts are tested: a true model fails one of them once in 1,000 runs.
            assert statistic < chi2.ppf(1 - 0.001 / 75, max(int(keep.sum()) - 1, 1)), (name, count)
            tested += count
    assert tested > 40_000


def test_the_ceiling_of_a_real_size_is_calibrated(shop: World, visits: Visits) -> None:
    """What the distribution expects of itself is what happens, within four standard errors."""
    chosen = visits[:1_200] + [visit for visit in visits if visit[3]][:1]
    contexts, targets = positions(chosen)
    metrics = ceiling_metrics(Ceiling(shop), contexts, targets)
    assert metrics["positions"] == len(targets) > 4_000
    error = 4 * 0.5 / np.sqrt(len(targets))
    assert abs(metrics["hr"] - metrics["expected_hr"]) < error
    assert abs(metrics["mrr"] - metrics["expected_mrr"]) < error
    assert 0.5 < metrics["hr"] < 0.95


def test_no_simple_ranking_beats_it(shop: World, visits: Visits) -> None:
    contexts, targets = positions([visit for visit in visits if not visit[3]][:1_500])
    popular = np.bincount(np.concatenate([visit[0] for visit in visits]), minlength=2_000)
    newest = contexts.rows[contexts.offsets[1:] - 1]
    same = shop.catalog.category[newest] == shop.catalog.category[targets]
    top = [
        np.argsort(-np.where(shop.catalog.category == c, popular, -1), kind="stable")[:20]
        for c in range(shop.shape[0])
    ]
    baseline = np.mean(
        [t in top[shop.catalog.category[n]] for n, t in zip(newest, targets, strict=True)]
    )
    assert same.mean() > 0.5
    assert ceiling_metrics(Ceiling(shop), contexts, targets)["hr"] > baseline + 0.05


def test_batches_and_prefixes_change_nothing(shop: World, visits: Visits) -> None:
    contexts, _ = positions([visit for visit in visits if not visit[3]][:60])
    ceiling = Ceiling(shop)
    together = ceiling.predict_many(contexts)
    assert np.allclose(together.sum(axis=1), 1.0)
    shuffled = np.random.default_rng(0).permutation(len(contexts))
    assert np.allclose(ceiling.predict_many(contexts.take(shuffled)), together[shuffled])
    for i in range(0, len(contexts), 17):
        part = slice(contexts.offsets[i], contexts.offsets[i + 1])
        alone = ceiling.predict(contexts.rows[part], contexts.ts[part], contexts.types[part])
        assert np.allclose(alone, together[i], rtol=1e-9)


def test_prefix_chains_join_what_grows() -> None:
    contexts = Ragged.from_lists(
        [[1], [1, 2], [1, 2, 3, 4], [1, 2, 3, 4], [2], [1], [1, 5], [7, 5]]
    )
    assert [chain.tolist() for chain in prefix_chains(contexts)] == [
        [0, 1, 2], [3], [4], [5, 6], [7],
    ]  # fmt: skip


event = st.tuples(st.integers(0, 5), st.integers(0, 3_000_000), st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(event, min_size=1, max_size=9), st.integers(-2, 5))
def test_any_visit_gets_a_distribution(tiny: World, visit: list[tuple[int, ...]], day: int) -> None:
    """Also one that this shop could not have produced: cut by others, or with unknown types."""
    items, gaps, types = zip(*visit, strict=True)
    ts = tiny.config.start_ms() + day * DAY_MS + np.cumsum(gaps)
    p = Ceiling(tiny).predict(items, ts, types)
    assert np.isfinite(p).all() and (p >= 0).all()
    assert p.sum() == pytest.approx(1.0, abs=1e-9)
    last = min(max(int(ts[-1] - tiny.config.start_ms()) // DAY_MS, 0), tiny.config.days - 1)
    unreleased = tiny.catalog.release_day > last
    unreleased[list(items)] = False
    assert (p[unreleased] == 0).all()


def test_unknown_targets_rank_last_and_miss(tiny: World) -> None:
    contexts = Ragged.from_lists([[0], [0]])
    ranks, best = Ceiling(tiny).ranks(contexts, np.array([-1, 0]))
    assert ranks[0] == 6 and 1 <= ranks[1] <= 6
    assert (np.diff(best, axis=1) <= 0).all() and best.shape == (2, 20)


def test_wrong_calls_are_refused(tiny: World) -> None:
    ceiling = Ceiling(tiny)
    with pytest.raises(ValueError, match="empty context"):
        ceiling.predict([], [], [])
    with pytest.raises(ValueError, match="not in this shop"):
        ceiling.predict([6], [0], ["view"])
    with pytest.raises(ValueError, match="as many targets"):
        ceiling.ranks(Ragged.from_lists([[0]]), np.array([1, 2]))
    with pytest.raises(ValueError, match="k must be"):
        ceiling_metrics(ceiling, Ragged.from_lists([[0]]), np.array([1]), k=21)
    assert ceiling.rows([*tiny.catalog.item_id[:2], "none"]).tolist() == [0, 1, -1]
