"""A store is followed: what is promoted serves, what is unsound does not, what is bad goes."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from session_rec.bundle import save_bundle
from session_rec.errors import BundleError, UserError
from session_rec.manifest import fingerprint
from session_rec.model_pointer import Pointer, Release, first_pointer, write_pointer
from session_rec.model_store import ModelStore
from session_rec.sessions import SessionRules
from session_rec.toy import toy_directory, toy_recommender
from streaming.config import StreamConfig
from streaming.dead_letters import DeadLetters
from streaming.model_swap import ModelSwap
from streaming.model_watch import ModelWatch
from streaming.pipeline import Pipeline

NAMES = ("monday", "tuesday", "wednesday")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Three models; monday's serves."""
    found = ModelStore(tmp_path / "store")
    for n, name in enumerate(NAMES):
        shutil.copytree(toy_directory("pear plum " + "fig " * (n + 1)), found.directory / name)
    found.promote("monday", uncertified=True)
    return found


class Following:
    """A pipeline whose model follows a store, turned by the test."""

    def __init__(self, store: ModelStore, **more: object) -> None:
        self.store = store
        config = StreamConfig.model_validate(
            {"model": store.directory, "model_poll_s": 0.005, "k": 2, **more}
        )
        self.swap = ModelSwap(config)
        letters = DeadLetters("dead", 1000)
        self.pipeline = Pipeline(self.swap.first, letters, "predictions", k=2)
        rules = config.context_settings(self.swap.first.rules).rules
        self.swap.start(self.pipeline, rules)

    @property
    def serves(self) -> str:
        found = self.pipeline.recommender.fingerprint
        names = {fingerprint(self.store.directory / name): name for name in self.store._names()}
        return names[found]

    def turn_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline
            self.swap.turn()
            time.sleep(0.002)

    def promote(self, name: str) -> None:
        self.store.promote(name, uncertified=True)
        self.turn_until(lambda: self.serves == name)

    def refuse(self, name: str, count: int = 1) -> None:
        """Points at a model by hand and waits until it is refused."""
        pointer = self.store.pointer()
        assert pointer is not None
        release = Release(name, fingerprint(self.store.directory / name))
        write_pointer(self.store.directory, pointer.then(release))
        self.turn_until(lambda: self.pipeline.notices.models_refused == count)


@pytest.fixture
def follow(store: ModelStore) -> Iterator[Callable[..., Following]]:
    started: list[Following] = []

    def begin(**more: object) -> Following:
        started.append(Following(store, **more))
        return started[-1]

    yield begin
    for following in started:
        following.swap.stop()


def damage(path: Path) -> Callable[[], object]:
    """Flips a bit; returns what mends it."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return lambda: path.write_bytes(data)


def test_what_is_promoted_serves_from_the_next_turn_on(follow):
    on = follow()
    assert on.serves == "monday"
    on.store.promote("tuesday", uncertified=True)
    deadline = time.monotonic() + 30
    while on.swap._watch._ready is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert on.serves == "monday"
    on.swap.turn()
    assert on.serves == "tuesday" and on.pipeline.notices.model_swaps == 1
    on.store.rollback()
    on.turn_until(lambda: on.serves == "monday")
    assert on.pipeline.notices.model_swaps == 2 and on.pipeline.notices.models_refused == 0


def test_a_fixed_model_follows_nothing(store: ModelStore):
    on = Following(ModelStore(store.directory / "monday"))
    assert on.swap._watch is None
    on.swap.turn()
    on.swap.stop()


@pytest.mark.parametrize("file", ["catalog.json", "weights.safetensors"])
def test_a_damaged_model_is_refused_until_it_is_promoted_again(follow, caplog, file):
    on = follow()
    mend = damage(on.store.directory / "tuesday" / file)
    on.refuse("tuesday")
    assert on.serves == "monday"
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(told) == 1 and "refused" in told[0] and "sha256 differs" in told[0]
    mend()
    time.sleep(0.05)
    on.swap.turn()
    assert on.serves == "monday"
    on.promote("tuesday")


def test_a_model_of_other_session_rules_is_refused_unless_the_rules_are_ours(follow, caplog):
    on = follow()
    toy = toy_recommender("pear plum")
    save_bundle(
        on.store.directory / "short",
        toy.catalog,
        toy.predictor,
        SessionRules(max_length=3),
        data_fingerprint="0",
    )
    on.refuse("short")
    assert on.serves == "monday" and "restart the daemon to serve it" in caplog.text
    on.store.rollback()
    own = follow(rules={"max_length": 7})
    own.promote("short")
    assert "was not evaluated" in caplog.text


def test_a_pointer_that_is_none_is_told_once_and_changes_nothing(follow, caplog):
    on = follow()
    path = on.store.directory / "current.json"
    good = path.read_bytes()
    path.write_bytes(b"{")
    on.turn_until(lambda: on.pipeline.notices.models_refused == 1)
    path.unlink()
    on.turn_until(lambda: on.pipeline.notices.models_refused == 2)
    time.sleep(0.05)
    assert [r.levelno for r in caplog.records].count(logging.ERROR) == 2
    path.write_bytes(good)
    on.promote("tuesday")


def test_a_model_taken_back_is_not_tried_again_until_the_pointer_changes(follow, caplog):
    on = follow()
    on.pipeline.turned_out.add(1000, 300, 0)
    on.promote("tuesday")
    assert on.pipeline.trial.previous.fingerprint == on.swap.first.fingerprint
    on.pipeline.turned_out.add(1000, 300, 0)
    on.swap.turn()
    assert on.serves == "tuesday", "a rate that was as high before takes nothing back"
    on.pipeline.turned_out.add(1000, 1000, 0)
    on.swap.turn()
    assert on.serves == "monday" and on.pipeline.notices.model_rollbacks == 1
    assert on.pipeline.trial is None and on.pipeline.turned_out.fallbacks == 300
    assert "taken back" in caplog.text and "models rollback" in caplog.text
    for _ in range(20):
        on.swap.turn()
        time.sleep(0.002)
    assert on.serves == "monday" and on.pipeline.notices.model_swaps == 1
    on.store.rollback()  # points at the one that serves: nothing to do
    on.promote("tuesday")
    assert on.pipeline.notices.model_swaps == 2


def test_errors_take_it_back(follow):
    on = follow(rollback_errors=2)
    on.promote("tuesday")
    on.pipeline.trial.failed(ZeroDivisionError("no"))
    on.swap.turn()
    assert on.serves == "tuesday"
    on.pipeline.trial.failed(ZeroDivisionError("no"))
    on.swap.turn()
    assert on.serves == "monday" and on.pipeline.notices.model_rollbacks == 1


def test_rates_take_back_no_rollback_by_hand(follow):
    on = follow()
    on.promote("tuesday")
    on.pipeline.turned_out.add(1000, 0, 0)
    on.store.rollback()
    on.turn_until(lambda: on.serves == "monday")
    on.pipeline.turned_out.add(1000, 1000, 0)
    on.swap.turn()
    assert on.serves == "monday" and on.pipeline.notices.model_rollbacks == 0
    on.pipeline.trial.failed(ZeroDivisionError("no"))
    on.swap.turn()
    assert on.serves == "tuesday"


def test_the_trial_ends_and_the_model_before_is_let_go(follow):
    on = follow()
    on.promote("tuesday")
    on.swap.turn()
    assert on.pipeline.trial is not None
    on.pipeline.trial = dataclasses.replace(on.pipeline.trial, ends_at=time.monotonic())
    on.swap.turn()
    assert on.pipeline.trial is None and on.serves == "tuesday"
    off = follow(rollback_window_s=0)
    off.promote("wednesday")
    assert off.pipeline.trial is None


def test_a_start_falls_back_to_the_newest_sound_model(follow, store: ModelStore, caplog):
    for name in ("tuesday", "wednesday"):
        store.promote(name, uncertified=True)
    damage(store.directory / "wednesday" / "catalog.json")
    shutil.rmtree(store.directory / "tuesday")
    on = follow()
    assert on.serves == "monday" and on.pipeline.notices.models_refused == 2
    assert caplog.text.count("is refused") == 2
    damage(store.directory / "monday" / "catalog.json")
    with pytest.raises(BundleError, match="wednesday"):
        follow()


def test_a_store_without_a_current_model_is_told(store: ModelStore):
    (store.directory / "current.json").unlink()
    with pytest.raises(UserError, match="models promote"):
        Following(store)


class FakeStore:
    """A pointer in memory."""

    directory = Path("store")

    def __init__(self) -> None:
        self.now: Pointer = first_pointer(Release("0", "0"))

    def pointer(self) -> Pointer:
        return self.now


@given(
    st.lists(
        st.sampled_from(["promote 0", "promote 1", "promote 2", "look", "take", "back", "bad 3"]),
        max_size=40,
    )
)
@example(["promote 1", "look", "promote 0", "take", "look", "back"])
@settings(deadline=None, max_examples=100)
def test_in_any_order_of_events_the_last_pointer_serves_unless_it_is_bad(events):
    toy = toy_recommender("pear plum")
    store, previous, serving = FakeStore(), "0", "0"
    refused: list[int] = []
    taken_back_at = 0

    def load(release: Release):
        if release.fingerprint == "3":
            raise BundleError("bad")
        return dataclasses.replace(toy, fingerprint=release.fingerprint)

    watch = ModelWatch(store, load, 1, store.now, "0", lambda: refused.append(store.now.revision))
    for event in [*events, "look", "take"]:
        what, _, number = event.partition(" ")
        if number:
            store.now = store.now.then(Release(number, number))
        elif what == "look":
            watch.look()
        elif what == "take":
            incoming = watch.take()
            if incoming is not None:
                assert incoming.recommender.fingerprint != serving
                previous, serving = serving, incoming.recommender.fingerprint
        elif previous != serving:
            serving, taken_back_at = previous, store.now.revision
            watch.went_back_to(serving)
    assert len(refused) == len(set(refused)), "a pointer was tried twice"
    bad = store.now.current.fingerprint == "3"
    if not bad and taken_back_at != store.now.revision:
        assert serving == store.now.current.fingerprint
    assert serving != "3"


def test_threads_take_short_turns_only_while_a_model_is_loaded(store: ModelStore):
    before = sys.getswitchinterval()
    seen = []

    def load(release: Release):
        seen.append(sys.getswitchinterval())
        raise np.exceptions.AxisError("odd")

    watch = ModelWatch(store, load, 1, None, "", lambda: None)
    watch.look()
    assert seen[0] < before == sys.getswitchinterval()
