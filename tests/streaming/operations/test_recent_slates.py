"""The newest slate of each session: bounded, erased at once, compared with the next click."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_support import LATENESS_MS, RULES, K, expected_slates, toy_bundle, toy_events

from session_rec.recommender import Recommender
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.dead_letters import DeadLetters
from streaming.pipeline import Partition, Pipeline
from streaming.recent_slates import RecentSlates

KEEP_MS = 100


class Model:
    """The same, written for reading: one list, oldest update first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.kept: list[tuple[str, str, int, bytes]] = []
        self.newest: dict[str, int] = {}

    def put(self, partition: str, session: str, ts: int, message: bytes) -> None:
        if not self.capacity:
            return
        self.newest[partition] = max(self.newest.get(partition, 0), ts)
        newest = self.newest[partition]
        self.kept = [k for k in self.kept if k[:2] != (partition, session)]
        self.kept.append((partition, session, newest, message))
        self.kept = [k for k in self.kept if k[0] != partition or k[2] >= newest - KEEP_MS]
        del self.kept[: max(len(self.kept) - self.capacity, 0)]

    def find(self, session: str) -> set[bytes]:
        return {k[3] for k in self.kept if k[1] == session}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("pq"), st.sampled_from("abcde"),
                  st.integers(0, 400)),
        st.tuples(st.just("erase"), st.sampled_from("abcde")),
        st.tuples(st.just("drop"), st.sampled_from("pq")),
    ),
    max_size=60,
)  # fmt: skip


@given(STEPS, st.integers(0, 6))
@settings(max_examples=80, deadline=None)
def test_it_keeps_the_newest_of_the_most_recently_updated(
    steps: list[tuple[Any, ...]], capacity: int
) -> None:
    slates, model = RecentSlates(capacity, KEEP_MS), Model(capacity)
    for n, step in enumerate(steps):
        if step[0] == "put":
            message = b'{"items": ["%d"]}' % n
            slates.put(step[1], step[2], step[3], message)
            model.put(step[1], step[2], step[3], message)
        elif step[0] == "erase":
            slates.erase(step[1])
            model.kept = [k for k in model.kept if k[1] != step[1]]
        else:
            slates.drop(step[1])
            model.kept = [k for k in model.kept if k[0] != step[1]]
            model.newest.pop(step[1], None)
        assert len(slates) == len(model.kept) <= capacity
        for session in "abcde":
            want = model.find(session)
            got = slates.find(session)
            assert got in want if want else got is None


def test_a_flood_of_sessions_stays_below_the_cap() -> None:
    slates = RecentSlates(100, 10**9)
    for n in range(5_000):
        slates.put(f"events-{n % 3}", f"s{n}", n, b"{}")
    assert len(slates) == 100
    assert [slates.find(f"s{n}") is not None for n in (4_899, 4_900, 4_999)] == [False, True, True]


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


def pipeline(model: Path, capacity: int = 1000) -> tuple[Pipeline, Partition]:
    how = ContextSettings(RULES, LATENESS_MS)
    p = Pipeline(
        Recommender.load(model), DeadLetters("dead", 10_000), "predictions", k=K, micro_batch=7,
        max_future_skew_ms=10_000, slates=RecentSlates(capacity, how.forget_after_ms),
    )  # fmt: skip
    return p, Partition("events-0", PartitionContexts(how, 0), 0, 0)


def run(p: Pipeline, part: Partition, batch: list[Record]) -> None:
    questions, _ = p.take(part, batch)
    for _ in p.answer(questions):
        pass


@pytest.mark.parametrize(("size", "erasures"), [(1, True), (7, False), (1000, False)])
def test_live_hits_are_those_of_the_slates_before_the_clicks(
    model: Path, size: int, erasures: bool
) -> None:
    """Counted anew from what must be predicted, whatever the batches were: but what a session that
    is erased clicked on in the same poll is not counted."""
    toy = [e for e in toy_events(5, sessions=4, events=200) if erasures or e[1] is not None]
    events = [Record("events", 0, offset, ts, k, v) for offset, (k, v, ts) in enumerate(toy)]
    p, part = pipeline(model)
    for begin in range(0, len(events), size):
        run(p, part, events[begin : begin + size])
    want = expected_slates(events, model)
    last: OrderedDict[str, tuple[int, list[str]]] = OrderedDict()
    asked = hits = 0
    for r in events:
        if r.value is None:
            last.pop((r.key or b"").decode(), None)
            continue
        event, slate = json.loads(r.value), want.get(f"events-0-{r.offset}")
        session = event["session_id"]
        if slate is None:
            continue
        if session in last and slate["in_order"]:
            before_ts, items = last[session]
            # A pause longer than the inactivity begins a new session under the same id. Where an
            # event that came late was the last, it may be older than the newest before.
            if event["ts"] - before_ts <= RULES.inactivity_ms:
                asked += 1
                hits += event["item_id"] in items
        newest = max(event["ts"], last[session][0]) if session in last else event["ts"]
        last[session] = (newest, slate["items"])
    assert (p.slates.asked, p.slates.hits) == (asked, hits)
    assert asked > 50 and 0 < hits < asked


def test_the_newest_slate_is_the_message_that_was_sent(model: Path) -> None:
    events = [
        Record("events", 0, offset, ts, key, value)
        for offset, (key, value, ts) in enumerate(toy_events(6, sessions=3, events=30))
    ]
    p, part = pipeline(model)
    questions, _ = p.take(part, events)
    sent = {o.key: o.value for outputs in p.answer(questions) for o in outputs}
    for key, value in sent.items():
        assert p.slates.find((key or b"").decode()) in (value, None)
    assert len(p.slates) > 0


def click(offset: int, item: str, session: str = "ann") -> Record:
    ts = 1_700_000_000_000 + offset
    value = json.dumps({"session_id": session, "item_id": item, "ts": ts}).encode()
    return Record("events", 0, offset, ts, session.encode(), value)


def test_a_tombstone_erases_at_once_what_is_kept_and_what_is_under_way(model: Path) -> None:
    p, part = pipeline(model)
    gone = Record("events", 0, 2, 1, b"ann", None)
    run(p, part, [click(0, "i01"), click(1, "i02", "bob")])
    assert p.slates.find("ann") is not None
    run(p, part, [gone])
    assert p.slates.find("ann") is None and p.slates.find("bob") is not None
    # The click before the tombstone is answered after the tombstone was taken.
    seen: list[bool] = []
    questions, _ = p.take(part, [click(3, "i03"), gone._replace(offset=4), click(5, "i04")])
    p.micro_batch = 1
    for _ in p.answer(questions):
        seen.append(p.slates.find("ann") is not None)
    assert seen == [False, True]
    found = json.loads(p.slates.find("ann") or b"")
    assert found["id"] == "events-0-5" and found["known_items"] == 1
    assert p.slates.asked == 0


def test_a_size_of_zero_keeps_and_counts_nothing(model: Path) -> None:
    p, part = pipeline(model, capacity=0)
    run(p, part, [click(0, "i01"), click(1, "i02")])
    assert (len(p.slates), p.slates.asked, p.slates.find("ann")) == (0, 0, None)
