"""What a partition holds: it survives a rebuild, and equals the offline definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from session_rec.events import Event
from session_rec.sessions import SessionRules, context_starts, first_arrivals
from streaming.contexts import ContextSettings, Fate, PartitionContexts

RULES = SessionRules(max_length=3, inactivity_ms=10, horizon_ms=15)
PAIRS = SessionRules("pairs", max_length=3)

#: A tombstone is ("erase", session), anything else that holds no event is None.
Op = Event | tuple[str, str] | None


def apply(contexts: PartitionContexts, op: Op, offset: int) -> tuple[object, object]:
    if op is None:
        return contexts.skip(offset), None
    if isinstance(op, tuple):
        return contexts.erase(op[1], offset), None
    fate = contexts.add(op, offset)
    return fate, contexts.context(op.session_id)


@st.composite
def streams(draw: st.DrawFn) -> list[Op]:
    """Mostly growing time with late events, equal times, duplicates, jumps and tombstones."""
    ops: list[Op] = []
    now = draw(st.integers(0, 30))
    for _ in range(draw(st.integers(0, 40))):
        kind = draw(st.sampled_from("eeeeeeeeeettn"))
        session = draw(st.sampled_from("abc"))
        if kind == "n":
            ops.append(None)
        elif kind == "t" and draw(st.booleans()):
            ops.append(("erase", session))
        else:
            now += draw(st.sampled_from([0, 0, 1, 2, 3, 8, 30]))
            ts = max(0, now - draw(st.sampled_from([0, 0, 0, 1, 3, 6, 7, 20])))
            seq = draw(st.sampled_from([None, None, None, 0, 1, 2]))
            ops.append(Event(session, draw(st.sampled_from("xyz")), ts, "view", seq))
    return ops


@given(
    streams(),
    st.sampled_from([RULES, PAIRS]),
    st.integers(1, 9),
    st.integers(0, 8),
    st.sampled_from([0, 2]),
    st.data(),
)
@settings(max_examples=300, deadline=None)
def test_a_rebuild_at_any_point_changes_nothing(
    ops: list[Op], rules: SessionRules, every: int, lateness: int, bots: int, data: st.DataObject
) -> None:
    how = ContextSettings(rules, lateness, 12, bots, checkpoint_every=every)
    crash = data.draw(st.integers(0, len(ops)))
    first = 100
    lived = PartitionContexts(how, first)
    for i, op in enumerate(ops[:crash]):
        apply(lived, op, first + i)
    offset, stream_time = lived.rebuild_from()
    assert first <= offset <= first + crash

    rebuilt = PartitionContexts(how, offset, stream_time)
    for i in range(offset - first, crash):
        apply(rebuilt, ops[i], first + i)
    assert rebuilt.snapshot() == lived.snapshot()
    assert rebuilt.stream_time == lived.stream_time
    assert rebuilt.next_offset == lived.next_offset
    for i in range(crash, len(ops)):
        assert apply(rebuilt, ops[i], first + i) == apply(lived, ops[i], first + i)
    assert rebuilt.snapshot() == lived.snapshot()


@given(streams(), st.integers(0, 8))
@settings(max_examples=120, deadline=None)
def test_nothing_that_could_still_be_extended_is_forgotten(ops: list[Op], lateness: int) -> None:
    """Contexts and fates equal those of a partition that never forgets."""
    forgetful = PartitionContexts(ContextSettings(RULES, lateness), 0)
    plain: dict[str, list[Event]] = {}
    stream_time = -1
    for offset, op in enumerate(ops):
        fate, context = apply(forgetful, op, offset)
        if isinstance(op, tuple):
            plain.pop(op[1], None)
        if not isinstance(op, Event):
            continue
        if op.ts < stream_time - lateness:
            assert fate is Fate.LATE
            continue
        stream_time = max(stream_time, op.ts)
        kept = plain.setdefault(op.session_id, [])
        duplicate = any((e.item_id, e.ts) == (op.item_id, op.ts) for e in kept)
        assert (fate is Fate.DUPLICATE) == duplicate
        if not duplicate:
            order = offset if op.seq is None else op.seq
            kept.append(Event(op.session_id, op.item_id, op.ts, "view", order))
        kept.sort(key=lambda e: (e.ts, e.seq))
        want = [kept[-1]]
        for older in reversed(kept[-RULES.max_length : -1]):
            if want[0].ts - older.ts > 10 or kept[-1].ts - older.ts > 15:
                break
            want.insert(0, older)
        assert [(e.item, e.ts) for e in context] == [(e.item_id, e.ts) for e in want]  # type: ignore[attr-defined]


@given(streams(), st.randoms(use_true_random=False))
@settings(max_examples=120, deadline=None)
def test_any_order_of_arrival_gives_the_offline_contexts(ops: list[Op], random: object) -> None:
    events = [op for op in ops if isinstance(op, Event)]
    random.shuffle(events)  # type: ignore[attr-defined]
    live = PartitionContexts(ContextSettings(RULES, allowed_lateness_ms=10**6), 0)
    for offset, event in enumerate(events):
        live.add(event, offset)
    if not events:
        return
    session = np.array([ord(e.session_id) for e in events])
    ts = np.array([e.ts for e in events])
    item = np.array([ord(e.item_id) for e in events])
    arrival = np.arange(len(events))
    seq = np.array([a if e.seq is None else e.seq for a, e in zip(arrival, events, strict=True)])
    keep = first_arrivals(session, ts, item, np.zeros_like(ts), arrival, RULES)
    order = np.lexsort((arrival, seq, ts, session))
    order = order[keep[order]]
    starts = context_starts(session[order], ts[order], RULES)
    for code in set(session.tolist()):
        last = int(np.flatnonzero(session[order] == code)[-1])
        offline = [events[i].item_id for i in order[starts[last] : last + 1]]
        assert [e.item for e in live.context(chr(code))] == offline


def test_an_event_from_long_ago_is_late_and_moves_nothing() -> None:
    contexts = PartitionContexts(ContextSettings(RULES, allowed_lateness_ms=5), 0)
    assert contexts.add(Event("a", "x", 100), 0) is Fate.NEWEST
    assert contexts.add(Event("a", "y", 95), 1) is Fate.OUT_OF_ORDER
    assert contexts.add(Event("a", "z", 94), 2) is Fate.LATE
    assert [e.item for e in contexts.context("a")] == ["y", "x"]
    assert contexts.stream_time == 100 and contexts.next_offset == 3


def test_a_rebuild_knows_what_was_late_before_its_range() -> None:
    """Stream time came from a session that is gone: without it the late event would enter."""
    how = ContextSettings(RULES, allowed_lateness_ms=8, checkpoint_every=1)
    ops: list[Op] = [
        Event("a", "x", 30),
        ("erase", "a"),
        Event("b", "y", 25),
        Event("c", "z", 21),
    ]
    lived = PartitionContexts(how, 0)
    for offset, op in enumerate(ops):
        apply(lived, op, offset)
    assert lived.rebuild_from() == (2, 30)
    rebuilt = PartitionContexts(how, *lived.rebuild_from())
    assert apply(rebuilt, ops[2], 2)[0] is Fate.NEWEST
    assert apply(rebuilt, ops[3], 3)[0] is Fate.LATE
    assert rebuilt.snapshot() == lived.snapshot()


def test_a_session_is_forgotten_when_nothing_can_extend_it() -> None:
    contexts = PartitionContexts(ContextSettings(RULES, allowed_lateness_ms=5), 0)
    contexts.add(Event("a", "x", 100), 0)
    contexts.add(Event("b", "x", 115), 1)
    assert len(contexts) == 2
    contexts.add(Event("b", "y", 116), 2)
    assert len(contexts) == 1 and contexts.forgotten == 1
    assert contexts.context("a") == []


def test_above_the_cap_the_session_with_the_oldest_newest_event_goes() -> None:
    contexts = PartitionContexts(ContextSettings(RULES, 100, max_sessions=2), 0)
    contexts.add(Event("a", "x", 10), 0)
    contexts.add(Event("b", "x", 12), 1)
    contexts.add(Event("a", "y", 13), 2)
    contexts.add(Event("c", "x", 1), 3)
    assert sorted(contexts.snapshot()) == ["a", "c"] and contexts.evicted == 1


def test_a_burst_that_fills_the_buffer_is_over_the_cap() -> None:
    contexts = PartitionContexts(ContextSettings(RULES, 100, bot_span_ms=2), 0)
    fates = [
        contexts.add(Event("a", i, ts), o)
        for o, (i, ts) in enumerate([("x", 1), ("y", 2), ("z", 3), ("x", 9)])
    ]
    assert fates == [Fate.NEWEST, Fate.NEWEST, Fate.OVER_CAP, Fate.NEWEST]


def test_the_rebuild_point_is_cheap_to_find_and_never_moves_back() -> None:
    """50,000 sessions live at once: a look at each of them per commit would take minutes."""
    contexts = PartitionContexts(ContextSettings(SessionRules(), 1000), 0)
    last = 0
    for offset in range(100_000):
        contexts.add(Event(str(offset % 50_000), str(offset), offset), offset)
        if offset % 100 == 0:
            now, _ = contexts.rebuild_from()
            assert now >= last
            last = now


def test_the_reach_covers_the_oldest_event_of_a_live_context() -> None:
    assert ContextSettings(RULES, 5).reach_ms == 10 + 5 + 15


def test_without_a_clock_the_reach_covers_a_session_that_is_slow_and_late() -> None:
    """Each event of session a comes as long after the one before as it may, and as late."""
    how = ContextSettings(PAIRS, 5, pairs_idle_ms=12)
    contexts = PartitionContexts(how, 0)
    offset = 0
    for now in (100, 112, 124):
        for session, ts in (("b", now), ("a", now - 5)):
            contexts.add(Event(session, f"at {ts}", ts), offset)
            offset += 1
    contexts.add(Event("b", "at 136", 136), offset)
    assert [entry.item for entry in contexts.context("a")] == ["at 95", "at 107", "at 119"]
    assert contexts.stream_time == 136
    assert how.reach_ms == 136 - 95
