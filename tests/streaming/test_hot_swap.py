"""A daemon in a process of its own follows a store: nothing is lost, nothing answered twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broker_fixtures import Broker
from kafka import KafkaProducer
from stream_support import RULES, Raw, Stage, accounted, expected_slates, toy_bundle, toy_events

from session_rec.bundle import save_bundle
from session_rec.catalog import Catalog
from session_rec.manifest import fingerprint
from session_rec.model_pointer import Release, write_pointer
from session_rec.model_store import ModelStore
from session_rec.predictors.sequential_rules import SequentialRules, SequentialRulesConfig
from session_rec.ragged import Ragged

QUICK = {"model_poll_s": 0.05}


def other_bundle(directory: Path, items: list[str]) -> Path:
    """A model of another catalog: a context must be told to it by item ids."""
    rng = np.random.default_rng(11)
    sessions = Ragged.from_lists([rng.integers(0, len(items), 8).tolist() for _ in range(60)])
    counts = np.bincount(sessions.rows, minlength=len(items)).astype(np.int64)
    predictor = SequentialRules.fit(
        sessions, len(items), config=SequentialRulesConfig(newest_n=5, decay=0.7)
    )
    catalog = Catalog(tuple(items), counts)
    save_bundle(directory, catalog, predictor, RULES, data_fingerprint="other")
    return directory


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    found = ModelStore(tmp_path / "store")
    toy_bundle(found.directory / "first")
    # It knows every item that the first one knows, in other rows: else its fallbacks take it back.
    items = ["i77", *(f"i{n:02d}" for n in reversed(range(12))), "i99"]
    other_bundle(found.directory / "second", items)
    other_bundle(found.directory / "stranger", ["nobody", "knows", "these", "items"])
    found.promote("first", uncertified=True)
    return found


def answers(stage: Stage) -> list[dict[str, Any]]:
    """Every prediction, in the order in which its topic's partitions hold them."""
    return [json.loads(record.value) for record in stage.read(stage.predictions)]


def check(
    stage: Stage, store: ModelStore, found: list[dict[str, Any]], new: str = "second"
) -> Counter[str]:
    """Each event is answered, by the first model or the new one, as that model answers; how often
    by each.

    Of several answers to an event, as after a crash, each must be right.
    """
    records = stage.read(stage.events)
    want = {
        fingerprint(store.directory / name): expected_slates(records, store.directory / name)
        for name in ("first", new)
    }
    models: Counter[str] = Counter()
    for message in found:
        message = {k: v for k, v in message.items() if k != "emitted_at"}
        assert message == want[message["model"]][message["id"]]
        models[message["model"]] += 1
    assert {m["id"] for m in found} == set(next(iter(want.values())))
    return models


@contextmanager
def steady(stage: Stage, events: list[Raw]) -> Iterator[Callable[[], int]]:
    """Sends events while the block runs, and then some more; yields how many were sent."""
    done, sent = threading.Event(), [0]

    def send() -> None:
        producer = KafkaProducer(bootstrap_servers=stage.broker.bootstrap_servers)
        until = len(events)
        while sent[0] < until:
            if done.is_set():
                until = min(until, sent[0] + 100)
            for key, value, timestamp in events[sent[0] : sent[0] + 10]:
                producer.send(stage.events, key=key, value=value, timestamp_ms=timestamp)
                sent[0] += 1
            producer.flush()
            done.wait(0.05)
        producer.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield lambda: sent[0]
    finally:
        done.set()
        thread.join()


def test_promoted_under_load_every_event_is_answered_once(
    broker: Broker, store: ModelStore
) -> None:
    stage = Stage(broker, store.directory)
    events = toy_events(seed=8, sessions=20, events=8000)
    with stage.daemon(**QUICK) as daemon:
        with steady(stage, events) as sent:
            stage.wait_committed(50)
            shutil.copytree(store.directory / "second", store.directory / "damaged")
            file = store.directory / "damaged" / "weights.safetensors"
            file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
            pointer = store.pointer()
            assert pointer is not None
            bad = Release("damaged", fingerprint(store.directory / "damaged"))
            write_pointer(store.directory, pointer.then(bad))
            daemon.wait_log("model damaged .* is refused, the one that serves goes on")
            before = sent()
            command = [sys.executable, "-m", "session_rec.cli", "models", "promote"]
            subprocess.run([*command, str(store.directory), "second", "--uncertified"], check=True)
            daemon.wait_log("model swapped")
            stage.wait_committed(before + 1)
        stage.wait_committed(sent())
        metrics = daemon.metrics()
        assert daemon.stop() == 0, daemon.log
    found = answers(stage)
    assert len({m["id"] for m in found}) == len(found), "an event was answered twice"
    models = check(stage, store, found)
    old, new = (fingerprint(store.directory / name) for name in ("first", "second"))
    assert set(models) == {old, new}
    newest: dict[str, int] = {}
    for message in sorted(found, key=lambda m: int(m["id"].rpartition("-")[2])):
        partition = message["id"].rpartition("-")[0]
        turn = [old, new].index(message["model"])
        assert turn >= newest.get(partition, 0), "the old model answered after the new one"
        newest[partition] = turn
    assert daemon.log.count("is refused") == 1
    assert metrics["session_rec_models_refused_total"] == 1
    assert metrics["session_rec_model_swaps_total"] == 1
    assert metrics["session_rec_scoring_errors_total"] == 0
    assert metrics["session_rec_model_rollbacks_total"] == 0
    assert accounted(metrics)["emitted"] == len(found)
    assert any(name.startswith("session_rec_model_info") and new in name for name in metrics)


def test_a_model_that_knows_no_item_is_taken_back(
    embedded_broker: Broker, store: ModelStore
) -> None:
    stage = Stage(embedded_broker, store.directory)
    events = toy_events(seed=9, sessions=20, events=450)
    third = len(events) // 3
    with stage.daemon(**QUICK) as daemon:
        stage.produce(events[:third])
        stage.wait_committed(third)
        store.promote("stranger", uncertified=True)
        daemon.wait_log("model swapped")
        stage.produce(events[third : 2 * third])
        daemon.wait_log("is taken back.*fallback slates are 100.0% of")
        stage.wait_committed(2 * third)
        stage.produce(events[2 * third :])
        stage.wait_committed(len(events))
        metrics = daemon.metrics()
        assert daemon.stop() == 0, daemon.log
    found = answers(stage)
    models = check(stage, store, found, "stranger")
    assert len(found) == models.total() == len({m["id"] for m in found})
    old, bad = (fingerprint(store.directory / name) for name in ("first", "stranger"))
    assert models[old] > models[bad] > 0
    order = sorted(found, key=lambda m: (m["emitted_at"], int(m["id"].rpartition("-")[2])))
    assert {m["model"] for m in order[-50:]} == {old}
    assert metrics["session_rec_model_rollbacks_total"] == 1
    assert metrics["session_rec_model_swaps_total"] == 1


@pytest.mark.parametrize(
    ("moment", "delivery"),
    [
        ("after the swap", "exactly-once"),
        pytest.param("after the swap", "at-least-once", marks=pytest.mark.soak),
        pytest.param("at once", "at-least-once", marks=pytest.mark.soak),
    ],
)
def test_a_kill_around_a_swap_makes_no_second_id(
    embedded_broker: Broker, store: ModelStore, moment: str, delivery: str
) -> None:
    stage = Stage(embedded_broker, store.directory)
    events = toy_events(seed=10, sessions=20, events=400)
    more = {**QUICK, "max_poll_records": 25, "micro_batch": 5, "http": False}
    more["delivery"] = delivery
    with stage.daemon(**more) as daemon:
        stage.produce(events[: len(events) // 2])
        stage.wait_committed(50)
        store.promote("second", uncertified=True)
        if moment == "after the swap":
            daemon.wait_log("model swapped")
            stage.produce(events[len(events) // 2 :])
            stage.wait_committed(len(events) // 2 + 1)
        os.kill(daemon.popen.pid, signal.SIGKILL)
        daemon.wait()
    if moment == "at once":
        stage.produce(events[len(events) // 2 :])
    with stage.daemon(**more) as daemon:
        stage.wait_committed(len(events))
        assert daemon.stop() == 0, daemon.log
    found = answers(stage)
    if delivery == "exactly-once":
        assert len({m["id"] for m in found}) == len(found)
    models = check(stage, store, found)
    assert models[fingerprint(store.directory / "second")] > 0
    assert models[fingerprint(store.directory / "first")] > 0
