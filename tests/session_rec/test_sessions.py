"""The two implementations of the one definition of a context, against each other and a naive one.

`SessionBuffer` takes events one by one, `first_arrivals` and `context_starts` take sorted columns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from session_rec.errors import ConfigError
from session_rec.sessions import (
    Outcome,
    SessionBuffer,
    SessionRules,
    context_starts,
    first_arrivals,
    scored_positions,
    session_begins,
)

MINUTE = 60_000
SHOP = SessionRules(max_length=4, inactivity_ms=10, horizon_ms=25)


class Click(NamedTuple):
    item: str
    ts: int
    type: str = "view"
    seq: int | None = None


def naive_context(clicks: list[Click], rules: SessionRules) -> list[int]:
    """Places of arrival in the context after all of ``clicks``: the rule read out loud."""
    distinct = {}
    for arrival, c in enumerate(clicks):
        key = arrival if rules.name == "pairs" else (c.item, c.ts, c.type)
        distinct.setdefault(key, (arrival, c))
    ordered = sorted(
        (0 if rules.name == "pairs" else c.ts, a if c.seq is None else c.seq, a)
        for a, c in distinct.values()
    )[-rules.max_length :]
    context = ordered[-1:]
    for event in reversed(ordered[:-1]):
        too_long_ago = context[0][0] - event[0] > rules.inactivity_ms
        too_old = ordered[-1][0] - event[0] > rules.horizon_ms
        if rules.name == "shop" and (too_long_ago or too_old):
            break
        context.insert(0, event)
    return [arrival for _, _, arrival in context]


def buffered(clicks: list[Click], rules: SessionRules, first: int = 0) -> SessionBuffer:
    buffer = SessionBuffer(rules)
    for arrival, c in enumerate(clicks[first:], first):
        buffer.add(c.item, c.ts, c.type, arrival, c.seq)
    return buffer


def live_context(clicks: list[Click], rules: SessionRules) -> list[int]:
    return [e.arrival for e in buffered(clicks, rules).context()]


def columns(
    sessions: list[list[Click]], rules: SessionRules
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """session, ts, arrival of the sorted distinct events: the offline path."""
    rows = [(s, a, c) for s, clicks in enumerate(sessions) for a, c in enumerate(clicks)]
    items = {c.item: n for n, c in enumerate(c for _, _, c in rows)}
    types = {c.type: n for n, c in enumerate(c for _, _, c in rows)}
    session = np.array([s for s, _, _ in rows], np.int64)
    ts = np.array([c.ts for _, _, c in rows], np.int64)
    arrival = np.array([a for _, a, _ in rows], np.int64)
    seq = np.array([a if c.seq is None else c.seq for _, a, c in rows], np.int64)
    item = np.array([items[c.item] for _, _, c in rows], np.int64)
    type_ = np.array([types[c.type] for _, _, c in rows], np.int64)
    keep = first_arrivals(session, ts, item, type_, arrival, rules)
    clock = np.zeros_like(ts) if rules.as_given else ts
    order = np.lexsort((arrival, seq, clock, session))
    order = order[keep[order]]
    return session[order], ts[order], arrival[order]


def offline_context(clicks: list[Click], rules: SessionRules) -> list[int]:
    session, ts, arrival = columns([clicks], rules)
    starts = context_starts(session, ts, rules)
    return list(arrival[starts[-1] :])


# Few items, types and times, so that duplicates, ties and full buffers are common.
clicks = st.builds(
    Click,
    item=st.sampled_from("ABC"),
    ts=st.integers(0, 12).map(lambda n: n * 4),
    type=st.sampled_from(["view", "cart"]),
    seq=st.none() | st.integers(0, 6),
)
clickstreams = st.lists(clicks, min_size=1, max_size=24)
all_rules = st.builds(
    SessionRules,
    name=st.sampled_from(["shop", "shop", "shop", "pairs"]),
    max_length=st.integers(1, 6),
    inactivity_ms=st.integers(1, 30),
    horizon_ms=st.integers(1, 60),
)


@settings(max_examples=400, deadline=None)
@given(clickstreams, all_rules)
# A duplicate of an event that a full buffer has pushed out, at the ts of the oldest one left.
@example([Click("A", 0), Click("B", 0), Click("A", 0)], SessionRules(max_length=1))
@example(
    [Click("A", 0, seq=5), Click("B", 0, seq=1), Click("B", 0, seq=9)], SessionRules(max_length=1)
)
def test_event_by_event_equals_sorted_columns_equals_the_naive_rule(
    stream: list[Click], rules: SessionRules
) -> None:
    for n in range(1, len(stream) + 1):
        seen = stream[:n]
        expected = naive_context(seen, rules)
        assert live_context(seen, rules) == expected
        assert offline_context(seen, rules) == expected


@settings(max_examples=200, deadline=None)
@given(
    clickstreams.map(lambda cs: [c._replace(seq=n) for n, c in enumerate(cs)]),
    all_rules,
    st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_does_not_matter_where_the_producer_gave_seq(
    stream: list[Click], rules: SessionRules, random: object
) -> None:
    distinct = list({(c.item, c.ts, c.type): c for c in stream}.values())
    shuffled = list(distinct)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def context(cs: list[Click]) -> list[Click]:
        return [cs[a] for a in live_context(cs, rules)]

    assert context(shuffled) == context(distinct)


@settings(max_examples=200, deadline=None)
@given(st.lists(clickstreams, min_size=1, max_size=6), all_rules)
def test_every_position_of_many_sessions_at_once(
    sessions: list[list[Click]], rules: SessionRules
) -> None:
    """The sorted columns of many sessions hold the context after each of their events."""
    session, ts, arrival = columns(sessions, rules)
    starts = context_starts(session, ts, rules)
    begins = session_begins(session, ts, rules)
    scored = set(scored_positions(session, ts, rules).tolist())
    for p in range(len(ts)):
        own = sessions[session[p]]
        upto = [q for q in range(p + 1) if session[q] == session[p]]
        # Fed in sorted order, so every event is the newest one when it arrives.
        ordered = [own[arrival[q]]._replace(seq=None) for q in upto]
        expected = naive_context(ordered, rules)
        assert [upto[a] for a in expected] == list(range(starts[p], p + 1))
        if p + 1 < len(ts):
            goes_on = session[p + 1] == session[p] and (
                rules.as_given or ts[p + 1] - ts[p] <= min(rules.inactivity_ms, rules.horizon_ms)
            )
            assert (p in scored) == goes_on
            assert begins[p + 1] == (not goes_on)
    assert len(ts) - 1 not in scored


@settings(max_examples=300, deadline=None)
@given(clickstreams, all_rules)
def test_outcomes_say_what_became_of_each_event(stream: list[Click], rules: SessionRules) -> None:
    buffer = SessionBuffer(rules)
    for arrival, c in enumerate(stream):
        before = [e.arrival for e in buffer.entries]
        outcome = buffer.add(c.item, c.ts, c.type, arrival, c.seq)
        after = [e.arrival for e in buffer.entries]
        if outcome is Outcome.NEWEST:
            assert after[-1] == arrival
        elif outcome is Outcome.OUT_OF_ORDER:
            assert arrival in after[:-1]
        else:
            assert after == before
        if outcome is Outcome.DUPLICATE:
            assert not rules.as_given
            assert any(o[:3] == c[:3] for o in stream[:arrival])
        assert len(after) <= rules.max_length


@settings(max_examples=300, deadline=None)
@given(clickstreams, clickstreams, all_rules)
def test_a_buffer_read_again_from_its_first_needed_event_goes_on_the_same(
    past: list[Click], future: list[Click], rules: SessionRules
) -> None:
    """What a restarted daemon does: it reads from there on and must not differ ever after."""
    original = buffered(past, rules)
    rebuilt = buffered(past, rules, first=original.first_needed)
    assert rebuilt.entries == original.entries
    for arrival, c in enumerate(future, len(past)):
        expected = original.add(c.item, c.ts, c.type, arrival, c.seq)
        got = rebuilt.add(c.item, c.ts, c.type, arrival, c.seq)
        # An event too old for the buffer may be called one or the other; both change nothing.
        nothing = (Outcome.DUPLICATE, Outcome.OUTSIDE)
        assert got == expected or (got in nothing and expected in nothing)
        assert rebuilt.entries == original.entries


# Worked by hand, under SHOP: 4 events, gap 10, horizon 25.
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param([Click("A", 0), Click("B", 10)], "AB", id="a gap of exactly inactivity"),
        pytest.param([Click("A", 0), Click("B", 11)], "B", id="one millisecond more"),
        pytest.param(
            [Click("A", 0), Click("B", 11), Click("C", 6)], "ACB", id="a late event closes the gap"
        ),
        pytest.param(
            [Click("A", 0), Click("B", 8), Click("C", 16), Click("D", 25)],
            "ABCD",
            id="as old as the horizon",
        ),
        pytest.param(
            [Click("A", 0), Click("B", 8), Click("C", 16), Click("D", 26)],
            "BCD",
            id="older than the horizon",
        ),
        pytest.param([Click(i, n) for n, i in enumerate("ABCDEF")], "CDEF", id="newest four"),
        pytest.param(
            [Click(i, 9 - n) for n, i in enumerate("ABCDEF")], "DCBA", id="arrived backwards"
        ),
        pytest.param([Click("A", 0), Click("B", 1), Click("A", 0)], "AB", id="a duplicate"),
        pytest.param(
            [Click("A", 0), Click("A", 0, "cart"), Click("A", 1)],
            "AAA",
            id="another type or time is no duplicate",
        ),
        pytest.param([Click("A", 0), Click("B", 0)], "AB", id="a tie goes by arrival"),
        pytest.param(
            [Click("A", 0, seq=2), Click("B", 0, seq=1)], "BA", id="a tie goes by seq if given"
        ),
        pytest.param(
            [Click("A", 0, seq=1), Click("B", 0, seq=2), Click("A", 0, seq=3)],
            "AB",
            id="of duplicates the first to arrive keeps its seq",
        ),
    ],
)
def test_worked_examples(stream: list[Click], expected: str) -> None:
    assert "".join(stream[a].item for a in live_context(stream, SHOP)) == expected
    assert "".join(stream[a].item for a in offline_context(stream, SHOP)) == expected


def test_pairs_takes_sessions_as_given() -> None:
    rules = SessionRules(name="pairs", max_length=3)
    stream = [Click("A", 5), Click("A", 5), Click("B", 10**9), Click("C", 0)]
    assert [stream[a].item for a in live_context(stream, rules)] == ["A", "B", "C"]
    assert [stream[a].item for a in offline_context(stream, rules)] == ["A", "B", "C"]
    session, ts = np.zeros(4, np.int64), np.array([5, 5, 10**9, 0])
    assert scored_positions(session, ts, rules).tolist() == [0, 1, 2]
    assert context_starts(session, ts, rules).tolist() == [0, 0, 0, 1]
    assert session_begins(session, ts, rules).tolist() == [True, False, False, False]


def test_two_sessions_and_two_visits_of_one() -> None:
    session = np.array([0, 0, 0, 1, 1, 1])
    ts = np.array([0, 5, 100, 100, 104, 108])
    assert session_begins(session, ts, SHOP).tolist() == [True, False, True, True, False, False]
    assert context_starts(session, ts, SHOP).tolist() == [0, 0, 2, 3, 3, 3]
    assert scored_positions(session, ts, SHOP).tolist() == [0, 3, 4]


def test_no_events() -> None:
    none = np.zeros(0, np.int64)
    assert len(context_starts(none, none, SHOP)) == 0
    assert len(scored_positions(none, none, SHOP)) == 0
    assert len(session_begins(none, none, SHOP)) == 0
    assert len(first_arrivals(none, none, none, none, none, SHOP)) == 0
    assert SessionBuffer(SHOP).context() == []


@pytest.mark.parametrize("huge", [2**62, 2**63 - 1])
def test_a_horizon_that_means_none_does_not_overflow(huge: int) -> None:
    rules = SessionRules(max_length=20, inactivity_ms=30 * MINUTE, horizon_ms=huge)
    session = np.repeat(np.arange(5), 3)
    ts = np.tile(np.array([0, MINUTE, 2 * MINUTE]), 5) + 1_700_000_000_000
    assert context_starts(session, ts, rules).tolist() == [s * 3 for s in range(5) for _ in "abc"]


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="'shop' or 'pairs'"):
        SessionRules(name="other")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="positive"):
        SessionRules(max_length=0)


def test_rules_are_named_by_what_they_say() -> None:
    assert SessionRules.from_dict(SHOP.to_dict()) == SHOP
    assert SHOP.fingerprint != SessionRules(max_length=5).fingerprint
    pairs = SessionRules(name="pairs")
    assert "inactivity_ms" not in pairs.to_dict()
    assert pairs.fingerprint == SessionRules(name="pairs", inactivity_ms=1).fingerprint
