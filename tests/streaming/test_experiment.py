"""Two models in the pipeline: each session has its arm, and nothing else changes."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from stream_support import K, toy_bundle

from session_rec.bundle import save_bundle
from session_rec.catalog import Catalog
from session_rec.errors import BundleError, ConfigError
from session_rec.experiment_arms import CHALLENGER, CHAMPION
from session_rec.model_store import ModelStore
from session_rec.predictors.popularity import Popularity
from session_rec.recommender import Recommender
from session_rec.sessions import Entry, SessionRules
from streaming.config import StreamConfig
from streaming.dead_letters import DeadLetters
from streaming.experiment import Experiment, begin_experiment
from streaming.experiment_settings import ExperimentSettings
from streaming.pipeline import Pipeline, Question
from streaming.recent_slates import RecentSlates
from streaming.trial import SlateCounts, Trial

RULES = SessionRules()
COUNTS = np.array([3, 2, 1])
OLD = Recommender(Catalog(("a", "b", "c"), COUNTS), Popularity(np.float32(COUNTS)), RULES, "old")
NEW = Recommender(
    Catalog(("d", "c"), np.array([1, 2])), Popularity(np.float32([1, 2])), RULES, "new"
)
SETTINGS = ExperimentSettings(name="autumn", challenger="unused", share=0.5, max_errors=2)


class Broken(Popularity):
    """Raises, or gives NaN, from its ``sound``-th question on."""

    def __init__(self, nan: bool, sound: int = 0) -> None:
        super().__init__(np.float32([np.nan if nan else 1, 2]))
        self.nan, self.sound, self.asked = nan, sound, 0

    def score(self, contexts):
        self.asked += 1
        if not self.nan and self.asked > self.sound:
            raise ZeroDivisionError("no")
        return super().score(contexts)


def pipeline(challenger: Recommender = NEW, **more) -> Pipeline:
    made = Pipeline(OLD, DeadLetters("dead", 1000), "predictions", k=2, **more)
    made.experiment = Experiment(SETTINGS, challenger)
    return made


def question(n: int, session: str, items: str = "ab") -> Question:
    entries = [Entry(i, i, i, item, "view", i) for i, item in enumerate(items)]
    return Question(f"t-0-{n}", session, n, True, entries)


def answers(on: Pipeline, questions: list[Question]) -> list[dict]:
    return [json.loads(out.value) for outputs in on.answer(questions) for out in outputs]


SESSIONS = [f"s{n}" for n in range(40)]


@given(st.lists(st.sampled_from(SESSIONS), max_size=60), st.integers(1, 9))
@settings(deadline=None, max_examples=50)
def test_each_session_has_its_arm_and_its_arms_model_answers(sessions, micro_batch):
    on = pipeline(micro_batch=micro_batch)
    found = answers(on, [question(n, session) for n, session in enumerate(sessions)])
    assert sorted(m["id"] for m in found) == sorted(f"t-0-{n}" for n in range(len(sessions)))
    for message in found:
        arm = SETTINGS.arms.of(message["session_id"])
        assert (message["arm"], message["experiment"]) == (arm, "autumn")
        assert message["model"] == ("new" if arm == CHALLENGER else "old")
        assert message["items"] == (["c", "d"] if arm == CHALLENGER else ["a", "b"])
    for session in set(sessions):
        mine = [m["ts"] for m in found if m["session_id"] == session]
        assert mine == sorted(mine), "slates of one session out of their order"
    assert sum(on.experiment.slates.values()) == len(found)


def test_without_an_experiment_the_message_is_what_it_was():
    on = Pipeline(OLD, DeadLetters("dead", 1000), "predictions", k=2)
    (message,) = answers(on, [question(0, "s")])
    assert list(message) == [
        "schema_version", "id", "session_id", "ts", "emitted_at", "model", "items", "scores",
        "known_items", "fallback", "in_order",
    ]  # fmt: skip


@pytest.mark.parametrize("nan", [False, True])
def test_who_was_drawn_for_a_challenger_that_fails_stays_in_its_arm(nan, caplog):
    broken = Broken(nan)
    on = pipeline(Recommender(NEW.catalog, broken, RULES, "new"), micro_batch=1)
    mine = [s for s in SESSIONS if SETTINGS.arms.of(s) == CHALLENGER][:5]
    found = answers(on, [question(n, s) for n, s in enumerate(mine)])
    assert [m["arm"] for m in found] == [CHALLENGER] * 5
    assert [m["model"] for m in found] == ["old"] * 5
    assert on.experiment.errors == 2 and on.experiment.over
    if not nan:
        assert broken.asked == 2, "it was asked again though the experiment is over"
    assert "the experiment ends here until the next start" in caplog.text
    after = answers(on, [question(n, s) for n, s in enumerate(SESSIONS)])
    assert {m["model"] for m in after} == {"old"}
    assert not any("arm" in m or "experiment" in m for m in after)
    assert on.experiment.slates == {CHAMPION: 0, CHALLENGER: 5}
    assert on.turned_out.slates == 45, "the champion's own slates judge it in a later trial"


def test_a_new_champion_on_trial_is_judged_by_its_own_arm_alone():
    on = pipeline()
    failing = Recommender(OLD.catalog, Broken(False), RULES, "newer")
    on.recommender = failing
    on.trial = Trial(OLD, SlateCounts(), 0.1, 1, time.monotonic() + 60)
    found = answers(on, [question(n, s) for n, s in enumerate(SESSIONS)])
    assert {(m["arm"], m["model"]) for m in found} == {(CHAMPION, "old"), (CHALLENGER, "new")}
    assert on.trial.errors == 1 and on.experiment.errors == 0
    on.trial, on.recommender = None, OLD
    answers(on, [question(n, s) for n, s in enumerate(SESSIONS)])
    assert on.turned_out.slates == sum(SETTINGS.arms.of(s) == CHAMPION for s in SESSIONS)


def test_live_hits_are_counted_by_arm():
    on = pipeline(slates=RecentSlates(1000, 1000))
    for n, item in enumerate("aad"):
        answers(on, [question(n, s, "ab"[: n > 0] + item) for s in SESSIONS])
    arms = [SETTINGS.arms.of(s) for s in SESSIONS]
    here = {arm: arms.count(arm) for arm in (CHAMPION, CHALLENGER)}
    assert on.experiment.asked == {arm: 2 * n for arm, n in here.items()}
    # The champion shows a and b, the challenger c and d; clicked are a, a and d.
    assert on.experiment.hits == here
    assert on.slates.asked == 2 * len(SESSIONS) and on.slates.hits == len(SESSIONS)


def begin(config: StreamConfig, rules: SessionRules = RULES) -> Pipeline:
    on = Pipeline(OLD, DeadLetters("dead", 1000), "predictions", k=K)
    begin_experiment(config, rules, on, CollectorRegistry())
    return on


def test_a_challenger_is_a_directory_or_a_name_in_the_store(tmp_path):
    store = ModelStore(tmp_path / "store")
    for n, name in enumerate(("one", "two")):
        toy_bundle(store.directory / name, seed=n)
    rules = Recommender.load(store.directory / "one").rules
    prints = [Recommender.load(store.directory / name).fingerprint for name in ("one", "two")]

    def challenger(model, which) -> str:
        config = StreamConfig(
            model=model, k=K, experiment=ExperimentSettings(name="e", challenger=str(which))
        )
        found = begin(config, rules).experiment
        assert found is not None
        return found.challenger.fingerprint

    assert challenger(store.directory, "two") == prints[1]
    assert challenger(store.directory, prints[0][:8]) == prints[0]
    assert challenger("anywhere", store.directory / "two") == prints[1]
    with pytest.raises(BundleError, match="has no model 'three': it holds one, two"):
        challenger(store.directory, "three")
    with pytest.raises(BundleError, match="is not there"):
        challenger(store.directory / "one", "three")


def test_a_challenger_of_other_session_rules_is_refused(tmp_path):
    other = SessionRules(max_length=7)
    save_bundle(tmp_path / "m", OLD.catalog, OLD.predictor, other, data_fingerprint="0")
    config = StreamConfig(
        model="m", k=2, experiment=ExperimentSettings(name="e", challenger=str(tmp_path / "m"))
    )
    with pytest.raises(ConfigError, match="'max_length': 7.* train both models under the same"):
        begin(config)
    assert begin(StreamConfig(model="m")).experiment is None
