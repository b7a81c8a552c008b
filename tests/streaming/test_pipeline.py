"""Records in, outputs out: every record is accounted for, and nothing silent is emitted."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stream_support import LATENESS_MS, RULES, K, expected_slates, toy_bundle, toy_events

from session_rec.recommender import Recommender
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.dead_letters import DeadLetters
from streaming.pipeline import Partition, Pipeline


class Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = []


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def recommender(model: Path) -> Recommender:
    return Recommender.load(model)


def pipeline(recommender: Recommender, **more: object) -> Pipeline:
    letters = DeadLetters("dead", 10_000)
    how = {"k": K, "micro_batch": 7, "max_future_skew_ms": 10_000, **more}
    return Pipeline(recommender, letters, "predictions", **how)  # type: ignore[arg-type]


def partition(emit_from: int = 0, bot_span_ms: int = 0, max_sessions: int = 100) -> Partition:
    how = ContextSettings(RULES, LATENESS_MS, bot_span_ms=bot_span_ms, max_sessions=max_sessions)
    return Partition("events-0", PartitionContexts(how, 0), emit_from, emit_from)


def records(seed: int, count: int = 150) -> list[Record]:
    return [
        Record("events", 0, offset, ts, key, value)
        for offset, (key, value, ts) in enumerate(toy_events(seed, sessions=4, events=count))
    ]


def run(p: Pipeline, part: Partition, batch: list[Record]) -> dict[str, dict[str, object]]:
    questions, letters = p.take(part, batch)
    out = [json.loads(o.value or b"") for outputs in p.answer(questions) for o in outputs]
    for message in out:
        del message["emitted_at"]
    assert all(o.topic == "dead" for o in letters)
    return {m["id"]: m for m in out}


@given(
    st.integers(0, 50),
    st.sampled_from([0, 6_000]),
    st.sampled_from([None, 0]),
    st.sampled_from([2, 100]),
    st.lists(st.integers(0, 150), max_size=6),
    st.lists(st.sampled_from([b"", b"{}", b"\x00abc", b"[1", None]), max_size=150),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_terms_add_up_to_the_records(
    recommender: Recommender,
    seed: int,
    bots: int,
    conflate: int | None,
    cap: int,
    cuts: list[int],
    broken: list[bytes | None],
) -> None:
    batch = records(seed)
    for n, value in enumerate(broken):
        batch[n] = batch[n]._replace(value=value, key=None if n % 3 == 0 else b"s1")
    p = pipeline(recommender, conflate_lag=conflate)
    part = partition(bot_span_ms=bots, max_sessions=cap)
    edges = [0, *sorted(cuts), len(batch)]
    emitted: list[str] = []
    for begin, end in itertools.pairwise(edges):
        questions, letters = p.take(part, batch[begin:end])
        emitted += [q.id for q in questions]
        assert len(letters) <= end - begin
    assert p.accounts.consumed == len(batch) == p.accounts.accounted
    assert p.accounts.emitted == len(emitted) == len(set(emitted))


def test_batches_and_micro_batches_change_no_prediction(
    recommender: Recommender, model: Path
) -> None:
    batch = records(7)
    want = expected_slates(batch, model)
    assert run(pipeline(recommender), partition(), batch) == want
    p, part = pipeline(recommender, micro_batch=1), partition()
    one_by_one: dict[str, object] = {}
    for record in batch:
        one_by_one |= run(p, part, [record])
    assert one_by_one == want


def test_what_is_rebuilt_is_neither_emitted_nor_counted(
    recommender: Recommender, model: Path
) -> None:
    batch = records(8)
    p, part = pipeline(recommender), partition(emit_from=100)
    found = run(p, part, batch[:60]) | run(p, part, batch[60:])
    want = expected_slates(batch, model)
    assert found == {k: v for k, v in want.items() if int(k.rsplit("-", 1)[1]) >= 100}
    assert (p.notices.rebuilt, p.accounts.consumed) == (100, len(batch) - 100)


def test_a_redelivered_record_is_not_a_duplicate(recommender: Recommender) -> None:
    batch = records(9)
    p, part = pipeline(recommender), partition()
    run(p, part, batch)
    duplicates = p.accounts.duplicates
    assert run(p, part, batch[20:]) == {}
    assert p.accounts.duplicates == duplicates
    assert p.notices.redelivered == len(batch) - 20


def test_conflation_keeps_the_newest_context_of_each_session(
    recommender: Recommender, model: Path
) -> None:
    batch = records(10)
    want = expected_slates(batch, model)
    p, part = pipeline(recommender, conflate_lag=50), partition()
    part.lag = 49
    assert run(p, part, batch[:50]) == {
        k: v for k, v in want.items() if int(k.rsplit("-", 1)[1]) < 50
    }
    part.lag = 50
    newest: dict[object, dict[str, object]] = {}
    for id_, message in want.items():
        if int(id_.rsplit("-", 1)[1]) >= 50:
            newest[message["session_id"]] = message
    assert run(p, part, batch[50:]) == {m["id"]: m for m in newest.values()}
    assert p.accounts.conflated == len(want) - p.accounts.emitted


def test_a_key_that_is_not_the_session_id_is_counted_and_not_passed_on(
    recommender: Recommender,
) -> None:
    p = pipeline(recommender)
    value = b'{"session_id": 17, "item_id": 3, "ts": 1}'
    questions, _ = p.take(partition(), [Record("events", 0, 0, 1, b"18" * 500_000, value)])
    assert [o.key for outputs in p.answer(questions) for o in outputs] == [b"17"]
    assert (p.notices.key_mismatches, p.accounts.emitted) == (1, 1)


def test_excluded_items_leave_a_slate_of_their_own_length(recommender: Recommender) -> None:
    from session_rec.policy import Policy

    shown = recommender.catalog.item_ids[:2]
    narrow = recommender.with_policy(
        Policy(blocked_items=frozenset(recommender.catalog.item_ids) - set(shown))
    )
    value = b'{"session_id": "s", "item_id": "i05", "ts": 1}'
    (message,) = run(
        pipeline(narrow), partition(), [Record("events", 0, 0, 1, b"s", value)]
    ).values()
    assert sorted(message["items"]) == sorted(shown)  # type: ignore[call-overload]
    assert len(message["scores"]) == 2  # type: ignore[arg-type]
