"""Is it a believable shop: shares and shapes inside the ranges that real shops have."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import numpy as np

from training.shop.clickstream import Clickstream, sample_clickstream
from training.shop.clock import HOUR_MS
from training.shop.config import CART, DAY_MS, PURCHASE, make_config
from training.shop.world import World, build_world

Visits = list[tuple[np.ndarray, np.ndarray, np.ndarray, bool]]


def test_repeats_are_a_fifth_to_a_third_of_the_targets(visits: Visits) -> None:
    repeats = targets = 0
    for items, _, _, bot in visits:
        if not bot:
            targets += len(items) - 1
            repeats += len(items) - len(set(items.tolist()))
    assert 0.20 < repeats / targets < 0.35


def test_lengths(log: Clickstream, visits: Visits) -> None:
    humans = ~log.bot[log.session]
    per_session = np.bincount(log.session[humans])
    assert 4 < per_session[per_session > 0].mean() < 8
    lengths = np.array([len(visit[0]) for visit in visits if not visit[3]])
    assert 0.03 < (lengths == 1).mean() < 0.25
    assert 0.005 < (lengths > 20).mean() < 0.05
    assert lengths.max() <= 80


def test_popularity_has_a_long_tail(shop: World, visits: Visits) -> None:
    clicks = np.sort(np.bincount(np.concatenate([v[0] for v in visits]), minlength=2_000))
    n = len(clicks)
    gini = (2 * np.arange(1, n + 1) - n - 1) @ clicks / (n * clicks.sum())
    assert 0.5 < gini < 0.85
    assert (clicks > 0).mean() > 0.9


def test_carts_and_purchases_are_rare_and_in_order(visits: Visits) -> None:
    kinds = np.concatenate([v[2] for v in visits if not v[3]])
    assert 0.02 < (kinds == CART).mean() < 0.10
    assert 0.002 < (kinds == PURCHASE).mean() < 0.02
    assert 0.01 < np.mean([(v[2] == PURCHASE).any() for v in visits]) < 0.06
    for items, _, types, bot in visits:
        assert not (bot and types.any())
        for place in np.flatnonzero(types == PURCHASE):
            bought_before = (types[:place] == CART) & (items[:place] == items[place])
            assert bought_before.any(), "nothing is bought that was not in the cart"


def test_order_in_a_session_says_more_than_company(shop: World, visits: Visits) -> None:
    """The journey runs forward: tents lead to sleeping bags far more often than back."""
    steps: Counter[tuple[int, int]] = Counter()
    for items, _, _, bot in visits:
        if not bot:
            category = shop.catalog.category[items].tolist()
            steps.update((a, b) for a, b in pairwise(category) if a != b)
    department = shop.catalog.category_department
    pairs = [(c, c + 1) for c in range(len(department) - 1) if department[c] == department[c + 1]]
    forward = sum(steps[pair] for pair in pairs)
    backward = sum(steps[b, a] for a, b in pairs)
    assert forward > 2 * backward > 0


def test_intents_last_a_few_clicks(shop: World, visits: Visits) -> None:
    stays = moves = 0
    for items, _, _, bot in visits:
        if not bot:
            same = np.diff(shop.catalog.category[items]) == 0
            stays, moves = stays + int(same.sum()), moves + int((~same).sum())
    assert 3 < (stays + moves) / moves < 8


def test_visits_of_one_session_id_stand_apart(log: Clickstream) -> None:
    order = np.lexsort((log.ts, log.session))
    session, ts, visit = log.session[order], log.ts[order], log.visit[order]
    same_session = session[1:] == session[:-1]
    gap = np.diff(ts)[same_session]
    new_visit = (visit[1:] != visit[:-1])[same_session]
    assert new_visit.sum() > 500
    assert gap[new_visit].min() > 30 * 60_000 > gap[~new_visit].max()


def test_days_and_weeks_have_a_rhythm(shop: World, visits: Visits) -> None:
    start = np.array([v[1][0] for v in visits])
    day = (start - shop.config.start_ms()) // DAY_MS
    assert day.min() == 0 and day.max() == 89
    hour = np.bincount((start // HOUR_MS) % 24, minlength=24)
    assert hour[17:21].sum() > 3 * hour[1:5].sum()
    weekday = np.bincount(day % 7, minlength=7)  # the recording begins on a Monday
    assert weekday[6] > 1.1 * weekday[:5].mean()


def test_new_items_appear_and_are_not_clicked_before(shop: World, visits: Visits) -> None:
    release = shop.catalog.first_seen
    new = release > shop.config.start_ms()
    assert 0.10 < new.mean() < 0.20
    for items, ts, _, _ in visits:
        assert (release[items] <= ts).all()
    clicked = np.unique(np.concatenate([v[0] for v in visits]))
    assert new[clicked].sum() > 0.7 * new.sum()


def test_bots_are_few_long_and_fast(log: Clickstream, visits: Visits) -> None:
    bots = [v for v in visits if v[3]]
    assert 0 < len(bots) < 30
    for items, ts, _, _ in bots:
        assert len(items) >= 120
        assert np.median(np.diff(ts)) < 1_500
    humans = [v for v in visits if not v[3] and len(v[0]) > 20]
    assert min(np.median(np.diff(v[1])) for v in humans) > 1_500


def test_rows_arrive_in_order_but_for_a_few(log: Clickstream) -> None:
    late = (log.ts < np.maximum.accumulate(log.ts)).mean()
    assert 0.003 < late < 0.02
    rows = np.stack([log.session, log.item, log.ts, log.type])
    distinct = np.unique(rows, axis=1).shape[1]
    assert len(log.ts) - distinct == log.duplicates
    assert 0.002 < log.duplicates / len(log.ts) < 0.008


def test_devices_and_countries(log: Clickstream) -> None:
    assert (np.bincount(log.device) / len(log.device)).argmax() == 0
    assert len(np.unique(log.country)) == 7


def test_names_are_unique_and_readable(shop: World) -> None:
    names = shop.catalog.name
    assert len(set(names)) == len(names) == 2_000
    assert len(set(shop.catalog.item_id)) == 2_000
    assert all(re.fullmatch(r"[A-Z][\w' ./-]+, [a-z ]+", name) for name in names)
    assert max(map(len, names)) < 70
    assert (shop.catalog.price > 0).all()


def test_names_stay_unique_where_words_run_out() -> None:
    """One brand has 200 titles here; 900 items need about 450."""
    world = build_world(
        make_config(
            items=900, days=2, departments=1, categories_per_department=1, brands_per_category=1
        )
    )
    assert len(set(world.catalog.name)) == 900


def test_every_category_can_be_shopped_from_the_first_day(shop: World) -> None:
    assert (np.add.reduceat(shop.weight[0], shop.category_start) > 0).all()
    for table in (shop.intent_prior, shop.taste_prior, shop.promoted):
        assert np.allclose(table.sum(axis=1), 1.0) and (table >= 0).all()
    sold = shop.taste_prior.ravel() > 0
    assert np.allclose(shop.drift.sum(axis=1)[sold], 1.0)


def test_more_sessions_leave_the_shop_and_the_first_chunk_as_they_are() -> None:
    """The catalog and the probabilities depend on the seed, never on how much is sampled."""
    few, many = (build_world(make_config(sessions=s, items=200)) for s in (50, 5_000))
    assert few.fingerprint() == many.fingerprint()
    a, b = sample_clickstream(few), sample_clickstream(few)
    assert np.array_equal(a.ts, b.ts) and np.array_equal(a.item, b.item)
