"""The state of one partition against the naive stream: any records, any polls, any restarts."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest import mock

from boundary_events import SEMANTICS, Draft, drafts, lay
from hypothesis import strategies as st
from naive_stream import NaiveStream, Semantics
from one_partition import OnePartition, check_live, check_question, context_settings, terms_of
from state_budget import both

from session_rec.events import Event
from streaming.contexts import PartitionContexts

streams = st.lists(drafts(), min_size=1, max_size=12) | st.lists(drafts(), min_size=20, max_size=40)
semantics = st.sampled_from(SEMANTICS)
#: What happens between two polls; a poll's records are counted by the number.
histories = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from(["go on", "commit", "commit", "crash"])),
    max_size=12,
)
checkpoints = st.sampled_from([1, 2, 5, 256])


@both(250, semantics, streams, histories, checkpoints)
def restarts_anywhere_change_nothing(
    how: Semantics, drafted: list[Draft], history: list[tuple[int, str]], every: int
) -> None:
    log, stream = lay(drafted, how)
    process = OnePartition(how, log, every)
    asked: set[str] = set()
    for size, then in [*history, (len(log), "go on")]:
        before = process.contexts.next_offset
        emit_from = process.partition.emit_from
        raised = process.poll(size)
        taken = [r for r in log if before <= r.offset < process.contexts.next_offset]
        new = [r for r in taken if r.offset >= emit_from]
        for question in raised:
            check_question(question, stream)
        must = {f"events-0-{r.offset}" for r in new if stream.verdicts[r.offset].fate == "emitted"}
        assert {q.id for q in raised} == must and len(raised) == len(must)
        dead = [r.offset for r in new if stream.verdicts[r.offset].fate == "dead_lettered"]
        assert process.letters == dead
        asked |= must
        # Read again from the commit, a state is whole only once it has caught up.
        if not process.partition.rebuilding:
            check_live(process.contexts, stream, log)
        if then == "commit" and not process.partition.rebuilding:
            process.commit()
        elif then == "crash":
            process.restart()
    while process.left:
        for question in process.poll(len(log)):
            check_question(question, stream)
            asked.add(question.id)
    check_live(process.contexts, stream, log)
    emitted = {f"events-0-{o}" for o, v in stream.verdicts.items() if v.fate == "emitted"}
    assert asked == emitted


test_restarts, test_restarts_soak = restarts_anywhere_change_nothing


@both(60, semantics, streams, st.lists(st.integers(0, 45), max_size=8), checkpoints)
def redelivered(how: Semantics, drafted: list[Draft], backs: list[int], every: int) -> None:
    """Offsets that come again are told from duplicates: the state holds them already."""
    log, stream = lay(drafted, how)
    process = OnePartition(how, log, every)
    for back in backs:
        process.poll(6)
        account, live = process.terms(), process.contexts.snapshot()
        again = [r for r in log if r.offset < process.contexts.next_offset][-back:]
        assert process.take(again) == [] and process.letters == []
        assert (process.terms(), process.contexts.snapshot()) == (account, live)
    process.poll(len(log))
    assert process.terms() == terms_of(stream, log)


test_redelivery, test_redelivery_soak = redelivered


@both(60, semantics, streams, st.data())
def dead_letters_between(how: Semantics, drafted: list[Draft], data: st.DataObject) -> None:
    """A stream with dead letters strewn in is the stream without them."""
    log, _ = lay([d for d in drafted if d.kind in ("click", "erasure")], how, holes=False)
    spread = [r._replace(offset=10 * r.offset) for r in log]
    strewn = list(spread)
    for record in data.draw(st.lists(st.sampled_from(log or [None]), max_size=10)):  # type: ignore[list-item]
        if record is None or record.value is None:
            continue
        far = json.dumps(json.loads(record.value) | {"ts": 4_070_908_800_000}).encode()  # 2099
        broken = data.draw(st.sampled_from([far, record.value[:-1], b"", b"{}"]))
        at = data.draw(st.integers(10 * log[0].offset, 10 * log[-1].offset + 9))
        if at % 10 and not any(r.offset == at for r in strewn):
            strewn.append(record._replace(offset=at, value=broken))
    strewn.sort(key=lambda r: r.offset)
    if how.skew is None:
        return
    plain, mixed = OnePartition(how, spread), OnePartition(how, strewn)
    found, want = mixed.poll(len(strewn)), plain.poll(len(spread))
    # Without seq the order of arrival orders equal times: it is another, and orders alike.
    assert [(q.id, q.session_id, q.context) for q in found] == [
        (q.id, q.session_id, q.context) for q in want
    ]
    assert mixed.contexts.stream_time == plain.contexts.stream_time
    assert mixed.contexts.snapshot() == plain.contexts.snapshot()
    assert mixed.terms()["dead_lettered"] - plain.terms()["dead_lettered"] == len(strewn) - len(log)


test_dead_letters, test_dead_letters_soak = dead_letters_between


@both(
    80,
    st.sampled_from([s for s in SEMANTICS if not s.pairs and not s.bot_span]),
    st.lists(drafts(clicks_only=True), min_size=1, max_size=25),
    st.randoms(use_true_random=False),
)
def any_order(how: Semantics, drafted: list[Draft], random: object) -> None:
    """Where nothing is late and the producer numbers its events, the final state is a function of
    the set of events: the order of arrival leaves no trace."""
    patient = replace(how, lateness=10**6, skew=None)
    events = [replace(d, seq=n) for n, d in enumerate(drafted)]
    log, _ = lay(events, how, holes=False)
    distinct = list({r.value.split(b', "seq"')[0]: r for r in log if r.value}.values())
    shuffled = list(distinct)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    final = []
    for order in (distinct, shuffled):
        renumbered = [r._replace(offset=n) for n, r in enumerate(order)]
        process, stream = OnePartition(patient, renumbered), NaiveStream(patient)
        for record in renumbered:
            stream.take(record)
        process.poll(len(renumbered))
        check_live(process.contexts, stream, renumbered)
        final.append(
            {
                session: [(e.item, e.ts, e.type, e.seq) for e in buffer]
                for session, buffer in process.contexts.snapshot().items()
            }
        )
    assert final[0] == final[1]


(
    test_the_final_state_is_a_function_of_the_set_of_events,
    test_the_final_state_is_a_function_of_the_set_of_events_soak,
) = any_order


@both(60, semantics, streams, st.lists(st.integers(1, 15), max_size=8), st.integers(0, 20))
def conflated(how: Semantics, drafted: list[Draft], sizes: list[int], threshold: int) -> None:
    """Under lag a poll keeps the last prediction of each session; the account holds the others."""
    log, stream = lay(drafted, how)
    process = OnePartition(how, log, conflate_lag=threshold)
    emitted = conflated = 0
    for size in [*sizes, len(log)]:
        batch = process.left[:size]
        process.partition.lag = len(process.left)
        must = [r for r in batch if stream.verdicts[r.offset].fate == "emitted"]
        if len(process.left) >= threshold:
            last = {stream.verdicts[r.offset].session: r for r in must}
            conflated += len(must) - len(last)
            must = list(last.values())
        raised = process.poll(size)
        assert {q.id for q in raised} == {f"events-0-{r.offset}" for r in must}
        for question in raised:
            check_question(question, stream)
        emitted += len(must)
    terms = process.terms()
    assert (terms["emitted"], terms["conflated"]) == (emitted, conflated)
    for term in ("consumed", "duplicates", "late", "outside", "dead_lettered", "tombstones"):
        assert terms[term] == terms_of(stream, log)[term]


(
    test_conflation_keeps_the_last_of_each_session,
    test_conflation_keeps_the_last_of_each_session_soak,
) = conflated


@both(50, streams, st.integers(1, 3), st.lists(st.integers(1, 9), max_size=8))
def capped(drafted: list[Draft], most: int, sizes: list[int]) -> None:
    """With more sessions than memory is for, the account holds and no memory is taken."""
    how = SEMANTICS[2]
    log, stream = lay(drafted, how)
    process = OnePartition(how, log, max_sessions=most)
    for size in [*sizes, len(log)]:
        process.poll(size)
        assert len(process.contexts) <= most
    if process.contexts.evicted == 0:
        assert process.terms() == terms_of(stream, log)
    assert process.terms()["consumed"] == len(log)


test_cap, test_cap_soak = capped
same_time = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from([0, 0, 0, 1]), st.sampled_from([None, 0, 5])),
    min_size=1,
    max_size=30,
)


@both(80, same_time, st.integers(1, 3), st.integers(0, 30))
def standing_clock(drawn: list[tuple[str, int, int | None]], most: int, crash: int) -> None:
    """A producer whose clock stands still reaches the bound on what one millisecond may take; a
    restart changes nothing there either."""
    how = context_settings(Semantics(max_length=2))
    events, ts = [], 1
    for item, step, seq in drawn:
        ts += step
        events.append(Event("a", item, ts, "view", seq))
    crash = min(crash, len(events))
    with mock.patch("session_rec.sessions._MAX_GHOSTS", most):
        lived = PartitionContexts(how, 0)
        for offset, event in enumerate(events[:crash]):
            lived.add(event, offset)
        begin, stream_time = lived.rebuild_from()
        rebuilt = PartitionContexts(how, begin, stream_time)
        for offset in range(begin, crash):
            rebuilt.add(events[offset], offset)
        for offset in range(crash, len(events)):
            assert rebuilt.add(events[offset], offset) == lived.add(events[offset], offset)
            assert rebuilt.context("a") == lived.context("a")
        assert rebuilt.snapshot() == lived.snapshot()


test_standing_clock, test_standing_clock_soak = standing_clock
