"""What hypothesis found, and what else is easily got wrong: each with the records written out.

Rules: at most 3 events, a gap of more than 10 ms ends a visit, the horizon is 25 ms, an event may
be 12 ms late and 5 ms ahead of its record.
"""

from __future__ import annotations

import json

import pytest
from boundary_events import Draft, edges
from daemon_lives import Shop
from kafka import TopicPartition
from memory_kafka import EVENTS, Fault
from naive_stream import Record, Semantics
from one_partition import OnePartition

HOW = Semantics()
FINE = Fault("over")


def click(offset: int, session: str, item: str, ts: int, now: int | None = None) -> Record:
    value = json.dumps({"session_id": session, "item_id": item, "ts": ts}).encode()
    return Record(EVENTS, 0, offset, ts if now is None else now, session.encode(), value)


def told(how: Semantics, log: list[Record]) -> tuple[OnePartition, list[tuple[str, str, bool]]]:
    """Offset, items of the context and whether in order, of each prediction."""
    process = OnePartition(how, log)
    asked = process.poll(len(log))
    return process, [
        (q.id.rsplit("-", 1)[1], "".join(e.item for e in q.context), q.in_order) for q in asked
    ]


@pytest.mark.parametrize("traffic", [False, True])
def test_a_burst_does_not_depend_on_the_traffic_of_other_sessions(traffic: bool) -> None:
    """Found. 40 ms are allowed to a full buffer of a bot; the visit of two events is not one,
    whether or not stream time had moved on and the event before the gap was forgotten."""
    how = Semantics(bot_span=40, lateness=3)
    log = [click(0, "a", "x", 100)]
    if traffic:
        log.append(click(1, "b", "y", 114))  # 100 + 10 + 3 < 114: a is forgotten
    log += [click(2, "a", "y", 112), click(3, "a", "z", 113)]
    _, found = told(how, log)
    assert [f for f in found if f[0] in "23"] == [("2", "y", True), ("3", "yz", True)]


def test_a_burst_within_a_visit_is_over_the_cap() -> None:
    how = Semantics(bot_span=40)
    process, found = told(how, [click(n, "a", "xyz"[n], 100 + n) for n in range(3)])
    assert [f[1] for f in found] == ["x", "xy"]
    assert process.terms()["over_cap"] == 1


def test_a_key_that_is_no_text_erases_nobody() -> None:
    """Found. A byte that is not UTF-8 was read as U+FFFD, which a session may be called."""
    log = [
        click(0, "\ufffd", "x", 100),
        Record(EVENTS, 0, 1, 100, b"\xff", None),
        click(2, "\ufffd", "y", 101),
        Record(EVENTS, 0, 3, 101, "\ufffd".encode(), None),
        click(4, "\ufffd", "z", 102),
    ]
    process, found = told(HOW, log)
    assert [f[1] for f in found] == ["x", "xy", "z"]
    assert process.terms()["tombstones"] == 2


def test_a_late_event_bridges_two_visits() -> None:
    log = [click(0, "a", "x", 100), click(1, "a", "z", 111), click(2, "a", "y", 101)]
    _, found = told(HOW, log)
    assert found == [("0", "x", True), ("1", "z", True), ("2", "xyz", False)]


def test_an_event_can_come_into_a_visit_that_is_not_its_sessions_newest() -> None:
    """It gets a prediction, for the newest context, which it is not in."""
    log = [click(0, "a", "x", 100), click(1, "a", "z", 112), click(2, "a", "y", 100)]
    _, found = told(HOW, log)
    assert found[-1] == ("2", "z", False)


def test_the_edges_of_gap_horizon_lateness_and_skew() -> None:
    log = [
        click(0, "a", "x", 100),
        click(1, "a", "y", 110),  # a gap of exactly 10
        click(2, "b", "x", 100),
        click(3, "b", "y", 111),  # of 11
        click(4, "c", "x", 99),  # exactly 12 late
        click(5, "c", "y", 98),  # 13
        click(6, "d", "x", 117, now=112),  # exactly 5 ahead
        click(7, "d", "y", 119, now=113),  # 6: a dead letter
        click(8, "a", "z", 120),
        click(9, "a", "z", 125),  # 25 after y's 100 at most: y is within the horizon, x is cut off
    ]
    process, found = told(HOW, log)
    assert [f[1] for f in found] == ["x", "xy", "x", "y", "x", "x", "xyz", "yzz"]
    assert process.terms() == {"consumed": 10, "emitted": 8, "late": 1, "dead_lettered": 1}


def test_a_horizon_reaches_exactly_so_far() -> None:
    how = Semantics(max_length=5)
    for newest, context in ((125, "wxyz"), (126, "xyz")):
        log = [
            click(n, "a", item, ts)
            for n, (item, ts) in enumerate(zip("wxyz", (100, 108, 117, newest), strict=True))
        ]
        _, found = told(how, log)
        assert found[-1][1] == context


def test_an_event_of_2099_makes_nobody_late() -> None:
    log = [
        click(0, "a", "x", 100),
        click(1, "a", "y", 4_070_908_800_000, now=101),
        click(2, "a", "z", 101),
    ]
    process, found = told(HOW, log)
    assert [f[1] for f in found] == ["x", "xz"]
    assert process.contexts.stream_time == 101 and process.letters == [1]


def test_the_twin_of_an_event_that_a_full_buffer_pushed_out_is_a_twin_after_a_restart() -> None:
    """All of one millisecond, so that order is arrival: the twin would be the newest."""
    log = [click(n, "a", item, 100) for n, item in enumerate("wxyzw")]
    for crash in range(len(log)):
        process = OnePartition(HOW, log)
        process.poll(crash)
        process.commit()
        process.restart()
        process.poll(len(log))
        assert [e.item for e in process.contexts.context("a")] == ["x", "y", "z"]
        assert process.terms()["duplicates"] == 1


def test_half_a_surrogate_pair_is_a_dead_letter() -> None:
    """JSON can write what UTF-8 cannot; an id that cannot be a key must not get in."""
    value = b'{"session_id":"\\ud800","item_id":"x","ts":100}'
    process, found = told(HOW, [Record(EVENTS, 0, 0, 100, b"a", value)])
    assert found == [] and process.letters == [0]


def test_killed_while_rebuilding_again_and_again() -> None:
    """Each life ends before it has caught up: the commit stands, and nothing is emitted twice
    over, nor left out."""
    log = [click(n, "ab"[n % 2], "xyz"[n % 3], 100 + n) for n in range(6)]
    process = OnePartition(HOW, log)
    process.poll(5)
    process.commit()
    assert process.committed == (5, 0, None)
    for size in (1, 3, 2):
        process.restart()
        assert process.poll(size) == []
        assert process.partition.rebuilding
    process.restart()
    (question,) = process.poll(6)
    assert (question.id, [e.item for e in question.context]) == ("events-0-5", ["y", "x", "z"])


def test_what_was_erased_stays_erased_after_a_restart() -> None:
    """Another session needs the range with the erased events, and with their erasure."""
    log = [
        click(0, "b", "x", 100),
        click(1, "a", "x", 100),
        Record(EVENTS, 0, 2, 100, b"a", None),
        click(3, "a", "y", 101),
    ]
    process = OnePartition(HOW, log)
    process.poll(3)
    process.commit()
    process.restart()
    (question,) = process.poll(4)
    assert [e.item for e in question.context] == ["y"]


def test_what_was_late_is_late_after_a_restart_at_any_point() -> None:
    """Stream time came from a session that is gone, and stands beside an offset of the past."""
    log = [
        Record(EVENTS, 0, 0, 100, b"nobody", None),
        click(1, "c", "x", 100),
        Record(EVENTS, 0, 2, 100, b"c", None),
        click(3, "b", "x", 95),
        click(4, "d", "x", 87),
    ]
    for crash in range(len(log)):
        process = OnePartition(HOW, log)
        process.poll(crash)
        process.commit()
        process.restart()
        process.poll(len(log))
        assert process.terms()["late"] == 1 and process.contexts.stream_time == 100


SHOP = [Draft("click", "a", f"i{n % 3}", edge=e) for n, e in enumerate([0, 1, 2, 0, 1])]


def shop_with(drafts: list[Draft]) -> Shop:
    shop = Shop(HOW, 1)
    shop.cluster.owner = dict.fromkeys(shop.cluster.tps, "one")
    shop.round("one", 9, FINE)  # learns what it owns
    for draft in drafts:
        shop.append(draft, 0)
    return shop


@pytest.mark.parametrize(
    ("kind", "lives"),
    [
        ("refuse send", True),
        ("lose send", True),
        ("unsure send", True),
        ("no cluster", False),
        ("kill at send", False),
        ("kill before commit", False),
        ("kill after commit", False),
        ("delay commit", True),
        ("fail commit", False),
    ],
)
def test_what_fails_on_the_way_out_is_sent_in_the_end(kind: str, lives: bool) -> None:
    """:class:`Shop` compares every output; here it is seen that the fault did happen, and that no
    offset was committed before its outputs were with the brokers."""
    shop = shop_with(SHOP)
    must = {o for o, v in shop.streams[TopicPartition(EVENTS, 0)].verdicts.items()}
    fault = Fault(kind, after=2 if "send" in kind or kind == "no cluster" else 0)
    shop.round("one", 9, fault)
    assert ("one" in shop.daemons) == lives
    committed = shop.cluster.commits[TopicPartition(EVENTS, 0)].offset
    assert committed == (5 if lives or kind == "kill after commit" else 0)
    shop.finish()
    ids = [json.loads(p[3])["id"] for p in shop.cluster.produced]
    assert set(ids) == {f"events-0-{o}" for o in must}
    again = {"unsure send": 1, "no cluster": 2, "kill at send": 2}
    again |= {"kill before commit": 5, "fail commit": 5}
    assert len(ids) == 5 + again.get(kind, 0)


def test_while_a_commit_is_refused_nothing_more_is_taken() -> None:
    """What a crash repeats stays one poll, however long the group takes."""
    shop = shop_with(SHOP[:2])
    tp, consumer = TopicPartition(EVENTS, 0), shop.consumers["one"]
    shop.round("one", 9, Fault("refuse commit"))
    for draft in SHOP[2:]:
        shop.append(draft, 0)
    shop.round("one", 9, Fault("refuse commit"))
    assert (consumer.handed, shop.cluster.commits[tp].offset) == ([], 0)
    shop.round("one", 9, FINE)
    assert (consumer.handed, shop.cluster.commits[tp].offset) == ([], 2)
    shop.round("one", 9, FINE)
    assert (len(consumer.handed), shop.cluster.commits[tp].offset) == (3, 5)
    assert len(shop.cluster.produced) == 5
    shop.finish()


def test_a_partition_that_moves_before_its_commit_is_predicted_twice_alike() -> None:
    """The first member could not commit: the second begins where the commit stands."""
    shop = shop_with(SHOP)
    tp = TopicPartition(EVENTS, 0)
    shop.round("one", 9, Fault("refuse commit"))
    assert shop.cluster.commits[tp].offset == 0
    shop.cluster.owner[tp] = "two"
    shop.round("two", 9, FINE)  # learns that it is its own
    shop.round("two", 9, FINE)
    assert shop.cluster.commits[tp].offset == 5
    shop.round("one", 9, FINE)
    assert tp not in shop.daemons["one"]._partitions
    assert len(shop.cluster.produced) == 2 * len(shop.predictions) == 10
    shop.finish()


def test_a_member_that_has_not_heard_cannot_commit_over_the_new_one() -> None:
    shop = shop_with(SHOP)
    tp = TopicPartition(EVENTS, 0)
    shop.cluster.owner[tp] = "two"
    shop.round("one", 9, FINE, stale=True)  # fetched before it was told
    assert shop.cluster.commits[tp].offset == 0 and shop.predictions == {}
    shop.finish()
    assert len(shop.predictions) == 5


def test_a_restart_knows_the_stream_time_that_an_erased_session_left() -> None:
    """No live session is as new as stream time: it is read from the commit. Without it the last
    event, 13 ms behind, would not be late."""
    at = edges(HOW).index
    shop = shop_with(
        [
            Draft("click", "a", edge=at(0)),
            Draft("erasure", "a"),
            Draft("click", "b", edge=at(-5)),
        ]
    )
    shop.round("one", 9, FINE)
    shop.kill("one")
    shop.append(Draft("click", "7", edge=at(-13)), 0)
    verdicts = shop.streams[TopicPartition(EVENTS, 0)].verdicts
    assert [v.fate for v in verdicts.values()] == ["emitted", "tombstones", "emitted", "late"]
    shop.finish()
    assert sorted(shop.predictions) == ["events-0-0", "events-0-2"]


def test_a_commit_that_was_refused_is_made_before_the_daemon_stops() -> None:
    shop = shop_with(SHOP)
    shop.round("one", 9, Fault("refuse commit"))
    assert shop.cluster.commits[TopicPartition(EVENTS, 0)].offset == 0
    shop.stop("one")
    assert shop.cluster.commits[TopicPartition(EVENTS, 0)].offset == 5
    assert len(shop.cluster.produced) == 5
