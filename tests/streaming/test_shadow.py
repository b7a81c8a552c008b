"""A challenger beside the model that is shown: it answers the same, and can harm nothing."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from broker_fixtures import Broker
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from stream_support import RULES, K, Stage, expected_slates, toy_bundle, toy_events

from session_rec.errors import BundleError
from session_rec.recommender import Recommender
from session_rec.sessions import Entry, SessionRules
from session_rec.slates import Slates
from streaming.config import StreamConfig
from streaming.dead_letters import DeadLetters
from streaming.pipeline import Pipeline, Question, recommend
from streaming.shadow import Shadow, begin_shadow
from streaming.shadow_frames import Asked, Figures, Setup, frame, read_frames
from streaming.shadow_process import Challenger, compare


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    at = tmp_path_factory.mktemp("models")
    return toy_bundle(at / "shown", seed=3), toy_bundle(at / "challenger", seed=4)


def shadow(models: tuple[Path, Path], command: list[str]) -> Shadow:
    config = StreamConfig(model=models[0], shadow=models[1], k=K)
    return Shadow(config, RULES, command)


def batch(n: int, size: int = 20) -> list[Question]:
    """Contexts of twenty events each, and ``n`` as the time of their last one."""
    return [
        Question(
            f"t-0-{n}-{i}",
            "session",
            n,
            True,
            [Entry(n, n, n, f"i{(i + j) % 12:02d}", "view", n) for j in range(20)],
        )
        for i in range(size)
    ]


@pytest.fixture(scope="module")
def model(models: tuple[Path, Path]) -> Recommender:
    return Recommender.load(models[0])


@pytest.fixture(scope="module")
def slates(model: Recommender) -> Slates:
    return recommend(model, [q.context for q in batch(0)], K)


@given(st.lists(st.tuples(st.permutations("abcdef"), st.permutations("abcdef")), max_size=8),
       st.integers(0, 6), st.integers(0, 6))  # fmt: skip
@settings(deadline=None, max_examples=50)
def test_agreement_counts_common_items_and_equal_firsts(pairs, n, m):
    found, overlap, top_1 = Figures(), 0.0, 0
    for a, b in pairs:
        compare(found, a[:n], b[:m])
        common = sum(x in b[:m] for x in a[:n])
        overlap += 1.0 if n == m == 0 else common / max(n, m)
        top_1 += (n == 0 and m == 0) or (n > 0 and m > 0 and a[0] == b[0])
    assert found.overlap == pytest.approx(overlap)
    assert (found.top_1, found.slates) == (top_1, len(pairs))


def test_one_that_reads_nothing_costs_nothing_but_a_count(models, slates):
    stuck = shadow(models, [sys.executable, "-c", "import time; time.sleep(600)"])
    for n in range(300):
        stuck.offer(batch(n), slates)
    assert 0 < stuck.dropped < 6000
    assert len(stuck._pending) < 20_000, "what it does not read piles up"
    stuck._process.kill()
    stuck._process.wait()
    dropped = stuck.dropped
    stuck.offer(batch(0), slates)
    assert stuck.dropped == dropped + 20
    stuck.close()


@pytest.mark.parametrize("command", ["true", "false", "exec cat > /dev/full"])
def test_one_that_is_gone_is_told_once(models, slates, caplog, command):
    gone = shadow(models, ["sh", "-c", command])
    deadline = time.monotonic() + 30
    while not gone.dropped:
        assert time.monotonic() < deadline
        gone.offer(batch(0), slates)
    gone._process.wait()
    dropped = gone.dropped
    for n in range(5):
        gone.offer(batch(n), slates)
    assert gone.dropped == dropped + 100
    assert [r.levelno for r in caplog.records] == [logging.ERROR]
    gone.close()


def test_a_process_that_cannot_be_started_leaves_the_daemon_alone(models, monkeypatch, caplog):
    def fails(*words: object, **more: object) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr("streaming.shadow.subprocess.Popen", fails)
    config = StreamConfig(model=models[0], shadow=models[1], k=K)
    letters = DeadLetters("dead", 1000)
    pipeline = Pipeline(Recommender.load(models[0]), letters, "predictions", k=K)
    begin_shadow(config, RULES, pipeline, CollectorRegistry())()
    assert pipeline.shadow is None and "no more processes" in caplog.text


def test_what_a_slow_one_gets_is_whole_and_in_order(models, model, slates, tmp_path):
    got, go = tmp_path / "got", tmp_path / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.02; done; exec cat > {got}"
    slow = shadow(models, ["sh", "-c", wait])
    for n in range(300):
        slow.offer(batch(n), slates)
    assert slow.dropped > 0 and slow._pending
    go.touch()
    deadline = time.monotonic() + 30
    while slow._pending:
        assert time.monotonic() < deadline
        time.sleep(0.01)
        slow._write(b"")
    slow.offer(batch(301), slates)
    slow.close()
    stream = BytesIO(got.read_bytes())
    setup = next(read_frames(stream, Setup))
    assert setup.model == str(models[1]) and setup.rules == RULES.fingerprint
    frames = list(read_frames(stream, list[Asked]))
    numbers = [asked[0].ts for asked in frames]
    assert all(len(asked) == 20 for asked in frames)
    assert numbers == sorted(numbers) and numbers[0] == 0 and numbers[-1] == 301
    assert 20 * len(frames) == slow.handed_over
    asked = frames[0][3]
    assert asked.items == [f"i{(3 + j) % 12:02d}" for j in range(20)]
    assert asked.shown == [i for i, _ in model.recommend(asked.items, K)]
    assert stream.read() == b""


@given(st.binary(max_size=60), st.integers(0, 80))
@settings(max_examples=50)
def test_a_stream_that_ends_within_a_frame_ends(body, cut):
    data = frame(body) + frame(b"next")
    whole = [b for b, end in ((body, len(frame(body))), (b"next", len(data))) if end <= cut]
    assert list(read_frames(BytesIO(data[:cut]), bytes)) == whole


def test_a_challenger_that_cannot_be_used_is_told(models, tmp_path):
    setup = Setup(
        str(models[1]), "{}", "shadow", K, False, [], SessionRules().fingerprint, "INFO", "text"
    )
    with pytest.raises(BundleError, match="session rules"):
        Challenger(setup)
    with pytest.raises(BundleError, match="is not there"):
        Challenger(msgspec.structs.replace(setup, model=str(tmp_path / "nothing")))


def test_the_pipeline_shows_it_what_is_shown(model):
    seen: list[tuple[str, list[str]]] = []
    pipeline = Pipeline(model, DeadLetters("dead", 1000), "predictions", k=K, micro_batch=3)
    pipeline.shadow = lambda questions, slates: seen.extend(
        (q.id, slates.items(b)) for b, q in enumerate(questions)
    )
    outputs = [json.loads(o.value) for out in pipeline.answer(batch(0, 8)) for o in out]
    assert seen == [(o["id"], o["items"]) for o in outputs] and len(seen) == 8


def wait_until_dead(pid: int) -> None:
    """Until all of its threads are gone, and with them its end of the pipe."""
    deadline = time.monotonic() + 30
    while True:
        assert time.monotonic() < deadline
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if stat[0] == "Z" and os.listdir(f"/proc/{pid}/task") == [str(pid)]:
            return
        time.sleep(0.01)


def child_of(pid: int) -> int:
    (children,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().splitlines()
    (child,) = children.split()
    return int(child)


def test_beside_a_daemon_it_answers_every_context_and_its_end_is_only_counted(
    embedded_broker: Broker, models
) -> None:
    stage = Stage(embedded_broker, models[0])
    events = toy_events(seed=12, events=300)
    topic = embedded_broker.topic(1, prefix="shadow")
    stage.produce(events[:200])
    with stage.daemon(**{"shadow": str(models[1]), "topics.shadow": topic}) as daemon:
        stage.wait_committed(200)
        first = expected_slates(stage.read(stage.events), models[0])
        deadline = time.monotonic() + 60
        while (metrics := daemon.metrics())["session_rec_shadow_slates_total"] < len(first):
            assert time.monotonic() < deadline, metrics
            time.sleep(0.1)
        child = child_of(daemon.popen.pid)
        deadline = time.monotonic() + 30
        while len(stage.read(topic)) < len(first):
            assert time.monotonic() < deadline
        os.kill(child, signal.SIGKILL)
        wait_until_dead(child)
        stage.produce(events[200:])
        stage.wait_committed(len(events))
        after = daemon.metrics()
        assert daemon.stop() == 0, daemon.log
    records = stage.read(stage.events)
    shown = expected_slates(records, models[0])
    assert stage.slates() == shown
    challenged = expected_slates(records, models[1])
    found = [json.loads(r.value) for r in stage.read(topic)]
    assert sorted(m["id"] for m in found) == sorted(first)
    for message in found:
        assert message.pop("emitted_at") > 0
        assert message == challenged[message["id"]]
    slates = [(set(shown[i]["items"]), set(challenged[i]["items"])) for i in first]
    overlap = sum(len(a & b) / max(len(a), len(b)) for a, b in slates)
    firsts = sum(shown[i]["items"][0] == challenged[i]["items"][0] for i in first)
    assert metrics["session_rec_shadow_overlap_total"] == pytest.approx(overlap)
    assert metrics["session_rec_shadow_top_1_total"] == firsts
    assert 0 < overlap < len(first)
    assert metrics["session_rec_shadow_dropped_total"] == 0
    assert metrics["session_rec_shadow_errors_total"] == 0
    assert metrics['session_rec_shadow_batch_seconds_bucket{le="+Inf"}'] > 0
    assert after["session_rec_shadow_contexts_total"] == len(first)
    assert after["session_rec_shadow_dropped_total"] == len(shown) - len(first) > 0
