"""A model on trial: who answers where it raises, and what it is taken back for."""

from __future__ import annotations

import json
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_rec.catalog import Catalog
from session_rec.predictors.popularity import Popularity
from session_rec.recommender import Recommender
from session_rec.sessions import Entry, SessionRules
from streaming.dead_letters import DeadLetters
from streaming.pipeline import Pipeline, Question
from streaming.trial import SlateCounts, Trial

OLD = Recommender(
    Catalog(("a", "b", "c"), np.array([3, 2, 1])),
    Popularity(np.array([3, 2, 1], np.float32)),
    SessionRules(),
    "old",
)


class Broken(Popularity):
    """Counts how often it is asked, and raises from ``sound`` times on."""

    def __init__(self, error: Exception, sound: int = 0) -> None:
        super().__init__(np.array([1, 2], np.float32))
        self.error, self.sound, self.asked = error, sound, 0

    def score(self, contexts):
        self.asked += 1
        if self.asked > self.sound:
            raise self.error
        return super().score(contexts)


def new(predictor: Popularity) -> Recommender:
    return Recommender(Catalog(("c", "d"), np.array([2, 1])), predictor, SessionRules(), "new")


def trial(before: SlateCounts, **more) -> Trial:
    how = {"rise": 0.1, "max_errors": 1, "ends_at": time.monotonic() + 3600, **more}
    return Trial(OLD, before, **how)


def counts(slates: int, fallbacks: int = 0, empty: int = 0) -> SlateCounts:
    found = SlateCounts()
    found.add(slates, fallbacks, empty)
    return found


def questions(items: str) -> list[Question]:
    return [
        Question(f"t-0-{n}", "s", n, True, [Entry(n, n, n, item, "view", n)])
        for n, item in enumerate(items)
    ]


def answers(pipeline: Pipeline, items: str) -> list[dict]:
    batches = pipeline.answer(questions(items))
    return [json.loads(output.value) for outputs in batches for output in outputs]


def pipeline(recommender: Recommender, **more) -> Pipeline:
    return Pipeline(recommender, DeadLetters("dead", 1000), "predictions", k=2, **more)


@pytest.mark.parametrize("error", [ZeroDivisionError("no"), MemoryError(), ValueError("shape")])
@pytest.mark.parametrize("max_errors", [1, 2, 3])
def test_a_batch_that_a_new_model_cannot_answer_is_answered_by_the_one_before(error, max_errors):
    broken = Broken(error, sound=1)
    on = pipeline(new(broken), micro_batch=2, trial=trial(counts(9), max_errors=max_errors))
    found = answers(on, "abcdabcdab")
    assert [f["id"] for f in found] == [f"t-0-{n}" for n in range(10)]
    assert [f["model"] for f in found] == ["new"] * 2 + ["old"] * 8
    assert all(f["items"] == ["a", "b"] for f in found[2:])
    assert [f["fallback"] for f in found[2:]] == [False, True, False, False] * 2
    assert on.notices.scoring_errors == on.trial.errors == max_errors
    assert broken.asked == 1 + max_errors, "it was asked again though it is given up"
    assert type(error).__name__ in on.trial.verdict(on.turned_out)
    assert on.turned_out.slates == 2, "what the old model answered says nothing of the new one"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_an_error(bad):
    broken = new(Popularity(np.array([bad, 1], np.float32)))
    on = pipeline(broken, trial=trial(counts(9)))
    assert [f["model"] for f in answers(on, "ab")] == ["old", "old"]
    assert on.trial.given_up and "NaN or infinite" in on.trial.verdict(on.turned_out)


def test_where_neither_model_can_answer_nothing_is_emitted():
    error = ZeroDivisionError("no")
    broken = Recommender(OLD.catalog, Broken(error), OLD.rules, "old")
    on = pipeline(new(Broken(error)), trial=trial(counts(9)))
    on.trial.previous = broken
    with pytest.raises(ZeroDivisionError):
        answers(on, "a")


def test_empty_slates_and_fallbacks_are_counted():
    from session_rec.policy import Policy

    on = pipeline(OLD.with_policy(Policy(blocked_items=frozenset("abc"))))
    answers(on, "axa")
    seen = on.turned_out
    assert (seen.slates, seen.fallbacks, seen.empty) == (3, 1, 3)
    assert (on.notices.fallbacks, on.notices.empty_slates) == (1, 3)


@given(
    st.lists(st.tuples(st.integers(1, 4000), st.floats(0, 1), st.floats(0, 1)), max_size=40),
)
@settings(deadline=None, max_examples=50)
def test_the_newest_batches_are_counted(batches):
    found, told = SlateCounts(), []
    for slates, fallbacks, empty in batches:
        told.append((slates, int(fallbacks * slates), int(empty * slates)))
        found.add(*told[-1])
        tail = next(
            (told[n:] for n in range(len(told), -1, -1) if sum(t[0] for t in told[n:]) >= 10_000),
            told,
        )
        assert [found.slates, found.fallbacks, found.empty] == [
            sum(column) for column in zip(*tail, strict=True)
        ]


@given(
    st.integers(1, 10_000), st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 0.1),
    st.sampled_from(["fallbacks", "empty"]),
)  # fmt: skip
def test_a_rate_that_rose_by_less_than_what_is_borne_takes_nothing_back(n, m, was, rose, what):
    before = counts(n, **{what: -int(-was * n // 1)})
    now = counts(m, **{what: int(min(was + rose, 1) * m)})
    assert trial(before).verdict(now) is None


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.5, 0.9])
def test_a_rate_that_is_naturally_high_takes_nothing_back_by_chance(rate):
    for seed in range(20):
        rng = random.Random(seed)
        before = counts(500, sum(rng.random() < rate for _ in range(500)))
        now, on = SlateCounts(), trial(before)
        for _ in range(2000):
            now.add(1, int(rng.random() < rate), 0)
            assert on.verdict(now) is None


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (counts(1000, 300), counts(2000, 1400), "fallback slates are 70.0% of 2000, were 30.0%"),
        (counts(1000), counts(2000, 0, 500), "empty slates are 25.0% of 2000, were 0.0% of 1000"),
        (counts(40), counts(40, 40), "fallback slates are 100.0% of 40"),
    ],
)
def test_a_rate_that_rose_takes_it_back(before, now, words):
    assert words in trial(before).verdict(now)
    assert trial(before, judge_rates=False).verdict(now) is None
    assert trial(before, rise=0.9).verdict(now) is None


def test_without_anything_to_compare_with_nothing_is_taken_back():
    assert trial(SlateCounts()).verdict(counts(5000, 5000, 5000)) is None
    assert trial(counts(5000)).verdict(SlateCounts()) is None
    assert trial(counts(5), ends_at=time.monotonic() - 1).over and not trial(counts(5)).over
