"""Which click is compared with which slate, and what becomes of the others."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from session_rec.experiment_arms import CHALLENGER, CHAMPION
from streaming.event_columns import EventColumns
from streaming.experiment_report import DRAW_ALPHA, summarise
from streaming.messages import Prediction
from streaming.slate_joins import REASONS, SlateJoins

SECOND = 1000


class Log:
    """An events topic and a predictions topic, by hand."""

    def __init__(self, window_s: int = 100, pause_s: int | None = 30) -> None:
        self.events = EventColumns()
        pause_ms = None if pause_s is None else pause_s * SECOND
        self.joins = SlateJoins("autumn", self.events, window_s * SECOND, pause_ms)
        self.offsets: Counter[int] = Counter()

    def event(self, session: str, item: str | None, s: float, partition: int = 0) -> int:
        offset = self.offsets[partition]
        self.offsets[partition] += 1
        body = {"session_id": session, "item_id": item, "ts": int(s * SECOND)}
        value = None if item is None else json.dumps(body).encode()
        self.events.add(
            SimpleNamespace(
                topic="events", partition=partition, offset=offset, key=session.encode(),
                value=value, timestamp=int(s * SECOND),
            )
        )  # fmt: skip
        return offset

    def answer(
        self, session: str, s: float, offset: int, slate: str, arm=CHAMPION, in_order=True,
        partition: int = 0, model: str = "m", experiment: str = "autumn",
    ) -> None:  # fmt: skip
        self.joins.take(
            Prediction(
                1, f"events-{partition}-{offset}", session, int(s * SECOND), 0, model,
                slate.split(), [1.0] * len(slate.split()), 1, False, in_order,
                UNSET if arm is None else experiment, arm or UNSET,
            )
        )  # fmt: skip

    def click(self, session: str, item: str, s: float, slate: str = "a b", **more) -> int:
        offset = self.event(session, item, s, more.get("partition", 0))
        self.answer(session, s, offset, slate, **more)
        return offset

    def session(self, name: str = "ann"):
        return self.joins.sessions[name]

    def outcomes(self, name: str = "ann") -> dict[str, int]:
        return {k: v for k, v in self.session(name).outcomes.items() if v}


def test_a_click_is_compared_with_the_slate_before_it():
    log = Log()
    log.click("ann", "x", 0, slate="a b")
    log.click("ann", "b", 1, slate="c d")
    log.click("ann", "a", 2, slate="e")
    assert log.session().ranks == [2, 0]
    assert log.outcomes() == {"joined": 2, "ended": 1}


def test_a_longer_pause_ends_a_session_unless_the_rules_have_no_clock():
    ended = {"paused": 1, "joined": 1, "ended": 1}
    for pause, want in ((30, ended), (None, {"joined": 2, "ended": 1})):
        log = Log(pause_s=pause)
        log.click("ann", "x", 0)
        log.click("ann", "a", 30)
        log.click("ann", "a", 60.001)
        assert log.outcomes() == want
        assert log.session().ranks[0] == 1


def test_behind_the_window_nothing_counts():
    log = Log(window_s=10)
    for s in (0, 10, 10.001, 12):
        log.click("ann", "a", s)
    assert log.outcomes() == {"joined": 1, "ended": 1}


def test_an_event_out_of_order_is_no_click_and_its_slate_is_the_newest():
    log = Log()
    log.click("ann", "x", 5, slate="a")
    log.click("ann", "a", 3, slate="b", in_order=False)
    log.click("ann", "b", 6)
    assert log.session().ranks == [1]
    assert log.outcomes() == {"replaced": 1, "joined": 1, "ended": 1}


def test_what_a_crash_repeats_counts_once():
    log = Log()
    first = log.click("ann", "x", 0, slate="a")
    second = log.click("ann", "a", 1, slate="b")
    log.answer("ann", 0, first, "b")
    log.answer("ann", 1, second, "c")
    log.click("ann", "b", 2)
    assert log.session().ranks == [1, 1]
    assert log.joins.repeated == 2


def test_a_click_that_expired_is_told_apart_from_none():
    log = Log()
    log.answer("ann", 0, 5, "a")
    log.answer("ann", 1, 6, "a")
    assert log.outcomes() == {"gone": 1, "ended": 1}


def test_only_this_experiment_counts_but_its_last_slate_meets_a_click_without_one():
    log = Log()
    log.click("old", "x", 0, arm=None)
    log.click("other", "x", 0, experiment="spring")
    log.click("ann", "x", 1, arm=None)
    log.click("ann", "x", 2, slate="a")
    log.click("ann", "a", 3, slate="b", arm=None)
    log.click("ann", "b", 4, arm=None)
    assert set(log.joins.sessions) == {"ann"}
    assert log.session().begin == 2 * SECOND
    assert log.outcomes() == {"joined": 1} and log.session().ranks == [1]


def test_a_session_that_changed_its_arm_or_its_partition_is_told():
    log = Log()
    log.click("ann", "x", 0)
    log.click("ann", "x", 1, arm=CHALLENGER)
    log.click("bob", "x", 0)
    log.click("bob", "x", 1, partition=1)
    assert log.session().mixed and not log.session("bob").mixed
    assert log.joins.elsewhere == 1
    report = summary(log)
    assert report.left_out["both arms"] == 1
    assert "1 sessions had slates of both arms" in " ".join(report.warnings())
    assert report.arms[CHAMPION].sessions == 1


def test_who_is_erased_is_in_no_number():
    log = Log()
    for name in ("ann", "bob"):
        log.click(name, "x", 0)
        log.click(name, "a", 1)
    log.event("ann", None, 2)
    report = summary(log)
    assert (report.arms[CHAMPION].sessions, report.arms[CHAMPION].open) == (1, 0)


def test_a_partition_with_events_to_come_holds_back_what_is_complete():
    log = Log(window_s=10)
    log.click("ann", "x", 0, partition=1)
    log.click("bob", "x", 50)
    assert log.joins.answered_until == 50 * SECOND
    log.event("ann", "a", 0.0, partition=1)  # of the same time: it can end no window
    assert log.joins.answered_until == 50 * SECOND
    log.event("ann", "a", 4, partition=1)
    assert log.joins.answered_until == 0
    assert log.joins.complete(log.joins.answered_until) == []
    log.answer("ann", 4, 2, "a", partition=1)
    assert [s.source for s in log.joins.complete(log.joins.answered_until)] == ["events-1"]


EVENTS = st.lists(
    st.tuples(st.sampled_from("ABC"), st.sampled_from("abcd"), st.integers(0, 9), st.booleans(),
              st.lists(st.sampled_from("abcd"), max_size=3, unique=True)),
    max_size=40,
)  # fmt: skip


@given(EVENTS)
@settings(deadline=None, max_examples=50)
def test_joined_as_by_pairs_of_neighbours(events):
    log, told, now = Log(window_s=60, pause_s=8), {}, 0
    for session, item, step, in_order, slate in events:
        now += step
        log.click(session, item, now, slate=" ".join(slate), in_order=in_order)
        told.setdefault(session, []).append((now, item, in_order, slate))
    for name, mine in told.items():
        begin = mine[0][0]
        mine = [e for e in mine if e[0] <= begin + 60]
        ranks, why = [], Counter()
        for before, after in pairwise(mine):
            if not after[2]:
                why["replaced"] += 1
            elif after[0] - before[0] > 8:
                why["paused"] += 1
            else:
                slate = before[3]
                ranks.append(slate.index(after[1]) + 1 if after[1] in slate else 0)
        why["ended"] += 1
        assert log.session(name).ranks == ranks
        found = log.session(name).outcomes
        assert {r: found[r] for r in REASONS} == {r: why[r] for r in REASONS}
        assert found.total() == len(mine)


def summary(log: Log, share: float = 0.5):
    return summarise(
        log.joins, len(log.events.erased), experiment="autumn", share=share, cutoffs=[1, 2],
        until=10**9, alpha=0.05,
    )  # fmt: skip


def planted(rates: dict[str, float], sessions: int, seed: int, stay: float = 1.0) -> Log:
    """Sessions of two to four clicks; the challenger's go on with probability ``stay``."""
    rng, log = np.random.default_rng(seed), Log()
    for n in range(sessions):
        arm = CHALLENGER if rng.random() < 0.5 else CHAMPION
        clicks = int(rng.integers(2, 5)) if arm == CHAMPION or rng.random() < stay else 1
        for c in range(clicks):
            hit = rng.random() < rates[arm]
            item = ("a", "b")[int(rng.integers(2))] if hit else "z"
            log.click(f"s{n}", item, n + c, arm=arm, model=arm)
    return log


def test_the_report_says_what_was_planted():
    log = planted({CHAMPION: 0.2, CHALLENGER: 0.5}, 600, seed=5)
    report = summary(log)
    assert report.verdict == "ahead" and not report.warnings()
    assert report.sentence().startswith("challenger ahead: hr@2 +")
    for arm, rate in ((CHAMPION, 0.2), (CHALLENGER, 0.5)):
        figures = report.arms[arm]
        mine = [s for s in log.joins.sessions.values() if s.arm == arm]
        assert figures.sessions == figures.compared == len(mine)
        assert figures.joined + sum(figures.not_joined.values()) == figures.slates
        hits = [np.mean([r > 0 for r in s.ranks]) for s in mine]
        assert figures.metrics["hr@2"] == pytest.approx(np.mean(hits))
        assert figures.metrics["hr@2"] == pytest.approx(rate, abs=0.05)
        assert figures.metrics["hr@1"] == pytest.approx(rate / 2, abs=0.05)
        assert figures.metrics["mrr@2"] == pytest.approx(rate * 0.75, abs=0.05)
        ranks = np.array([r for s in mine for r in s.ranks])
        assert figures.per_slate["hr@2"] == pytest.approx((ranks > 0).mean())
        assert figures.models == {arm: figures.slates}
    assert report.differences["hr@2"].low < 0.3 < report.differences["hr@2"].high
    told = json.loads(json.dumps(report.to_dict()))
    assert told["verdict"] == "ahead" and told["differences"]["hr@2"]["verdict"] == "ahead"


def test_other_verdicts_and_what_makes_them_worthless():
    assert summary(planted({CHAMPION: 0.5, CHALLENGER: 0.2}, 500, 6)).verdict == "behind"
    fair = planted({CHAMPION: 0.3, CHALLENGER: 0.3}, 700, 7)
    assert summary(fair).verdict == "undecided"
    assert "the draw is broken" in summary(fair, share=0.4).warnings()[0]
    leaving = summary(planted({CHAMPION: 0.3, CHALLENGER: 0.3}, 700, 8, stay=0.5))
    assert "unlike sessions" in leaving.warnings()[0]
    assert DRAW_ALPHA < 0.05


def test_nothing_complete_is_undecided():
    log = Log()
    log.click("ann", "x", 0)
    report = summarise(
        log.joins, 0, experiment="autumn", share=0.5, cutoffs=[2], until=0, alpha=0.05
    )
    assert report.verdict == "undecided" and report.arms[CHAMPION].open == 1
    assert (report.differences["hr@2"].low, report.differences["hr@2"].high) == (-1, 1)
