"""Where a partition is read again from: other settings are noticed, and so is what expired."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from session_rec.events import Event
from session_rec.sessions import SessionRules
from streaming.accounting import Notices
from streaming.config import StreamConfig
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.positions import Position, Positions
from streaming.preflight import warn_of_retention
from streaming.state_store import StateStore

TP = TopicPartition("events", 0)
HOW = ContextSettings(SessionRules(max_length=3), 5000, 700, max_future_skew_ms=400)
PAIRS = replace(HOW, rules=SessionRules("pairs", 3))


def positions(
    how: ContextSettings, metadata: str, monkeypatch: pytest.MonkeyPatch, begin: int = 0
) -> Positions:
    """Positions on a partition [begin, 20) with a commit at 10; by time is from offset 2."""
    consumer = SimpleNamespace(
        beginning_offsets=lambda *_, **__: {TP: begin},
        end_offsets=lambda *_, **__: {TP: 20},
        committed=lambda *_, **__: OffsetAndMetadata(10, metadata, -1),
    )
    monkeypatch.setattr(Positions, "_by_time", lambda *_: Position(2, 10))
    return Positions(consumer, StreamConfig(model="toy"), how)  # type: ignore[arg-type]


def written(how: ContextSettings) -> dict[str, Any]:
    """What a daemon of these settings writes beside its commit."""
    contexts = PartitionContexts(how, 7, stream_time=99)
    contexts.add(Event("a", "x", 100), 9)
    entry = Positions(None, StreamConfig(model="toy"), how).commit_entry(contexts)  # type: ignore[arg-type]
    assert entry.offset == 10
    return dict(json.loads(entry.metadata))


def found(how: ContextSettings, metadata: Any, monkeypatch: pytest.MonkeyPatch) -> Position:
    where = positions(how, json.dumps(metadata), monkeypatch)
    return where.find(TP, where.stand(TP))


@pytest.mark.parametrize("how", [HOW, PAIRS, replace(HOW, max_future_skew_ms=None)])
def test_the_same_settings_read_on_where_the_commit_says(
    how: ContextSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(how, written(how), monkeypatch) == Position(7, 10, 99)


@pytest.mark.parametrize(
    ("then", "now", "named"),
    [
        (HOW, replace(HOW, rules=SessionRules(max_length=4)), "session rules"),
        (HOW, replace(HOW, allowed_lateness_ms=1), "allowed_lateness_s"),
        (HOW, replace(HOW, max_future_skew_ms=1), "max_future_skew_s"),
        (HOW, replace(HOW, max_future_skew_ms=None), "max_future_skew_s"),
        (PAIRS, replace(PAIRS, pairs_idle_ms=1), "pairs_idle_s"),
    ],
)
def test_other_settings_are_noticed_and_read_back_by_time(
    then: ContextSettings,
    now: ContextSettings,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert found(now, written(then), monkeypatch) == Position(2, 10)
    assert f"under other settings ({named})" in caplog.text


def test_what_does_not_decide_the_state_is_said_at_most(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert found(replace(HOW, pairs_idle_ms=1), written(HOW), monkeypatch).read_from == 7
    assert caplog.text == ""
    assert found(replace(HOW, bot_span_ms=1), written(HOW), monkeypatch).read_from == 7
    assert "bot_span_s was another" in caplog.text


def test_a_commit_of_the_first_release_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {
        "rebuild_from": 7,
        "stream_time": 99,
        "rules": HOW.rules.fingerprint,
        "lateness": 5000,
        "v": 1,
    }
    assert found(HOW, first, monkeypatch) == Position(7, 10, 99)
    assert found(HOW, first | {"lateness": 1}, monkeypatch) == Position(2, 10)
    # And the first release reads ours: what it knows is there, under the version that it knows.
    assert {key: written(HOW)[key] for key in first} == first


@pytest.mark.parametrize("text", ["", "set by hand", '{"rebuild_from":7,"v":2}'])
def test_a_commit_that_says_nothing_is_read_back_by_time(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = positions(HOW, text, monkeypatch)
    assert where.find(TP, where.stand(TP)) == Position(2, 10)


def test_the_damage_of_a_short_retention_is_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Offsets 7 and 8 expired; of the three sessions live then one is full, and so not cut."""
    where = positions(HOW, json.dumps(written(HOW)), monkeypatch, begin=9)
    notices = Notices()
    store = StateStore(StreamConfig(model="toy"), HOW, where, notices)  # type: ignore[arg-type]
    partition = store.begin(TP)
    assert partition.contexts.next_offset == 9 and partition.emit_from == 10
    assert notices.cut_records == 2 and "offsets 7 to 8 expired" in caplog.text
    store.after_commit({TP: partition})
    assert notices.cut_contexts == 0  # not read back yet
    partition.contexts.add(Event("a", "x", 100), 9)
    for offset, (session, item) in enumerate(["bx", "by", "bz", "cx"], start=10):
        partition.contexts.add(Event(session, item, 100 + offset), offset)
    store.after_commit({TP: partition})
    store.after_commit({TP: partition})
    assert notices.cut_contexts == 2
    assert "2 of 3 live sessions may lack events" in caplog.text


@pytest.mark.parametrize(
    ("retention", "warns"), [("999", True), ("1000", False), ("-1", False), (None, False)]
)
def test_a_retention_shorter_than_a_context_is_said_at_start(
    retention: str | None, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert warn_of_retention("events", retention, 1000) is warns
    assert ("retention.ms" in caplog.text) is warns
