"""A state from a snapshot is the state that was: at any offset, whatever came while it was written;
and of a damaged file nothing is taken."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from boundary_events import SEMANTICS, Draft, drafts, lay
from hypothesis import strategies as st
from naive_stream import Record, Semantics
from one_partition import context_settings
from state_budget import both

from session_rec.events import Event, EventError, decode_event
from session_rec.sessions import SessionRules
from streaming.contexts import ContextSettings, Fate, PartitionContexts
from streaming.live_sessions import SESSION_BYTES, entry_bytes, text_bytes
from streaming.snapshot_format import SnapshotError, SnapshotHeader
from streaming.snapshot_writer import SnapshotWriter
from streaming.snapshots import Snapshot, read

#: Memory, where there is one: the tests make many files durable.
SHM = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


def take(contexts: PartitionContexts, record: Record, how: Semantics) -> object:
    """Hands over a record as the pipeline does; returns what became of it."""
    if record.value is None and record.key is not None:
        return contexts.erase(record.key.decode(), record.offset)
    try:
        if record.key is None:
            raise EventError
        event = decode_event(record.value or b"")
        if how.skew is not None and event.ts > record.timestamp + how.skew:
            raise EventError
    except EventError:
        return contexts.skip(record.offset)
    return contexts.add(event, record.offset), contexts.context(event.session_id)


def state(contexts: PartitionContexts) -> dict[str, Any]:
    """Everything that a state is, and what it is going to say."""
    sessions = {
        name: (s.buffer.entries, s.buffer.ghosts, s.last_offset, s.last_seen, s.bytes)
        for name, s in contexts._sessions.items()
    }
    for name, (entries, ghosts, *_, size) in sessions.items():  # weighed anew, all at once
        held = sum(entry_bytes(e.item, e.type) for e in (*entries, *ghosts))
        assert size == SESSION_BYTES + text_bytes(name) + held
    assert contexts.bytes == sum(s.bytes for s in contexts._sessions.values())
    return {
        "sessions": sessions,
        "next_offset": contexts.next_offset,
        "stream_time": contexts.stream_time,
        "rebuild_from": contexts.rebuild_from(),
        "checkpoints": list(contexts._checkpoints),
        "bytes": contexts.bytes,
        "evicted": contexts.evicted_before + contexts.evicted,
    }


def header(contexts: PartitionContexts, how: ContextSettings) -> SnapshotHeader:
    return SnapshotHeader("group", "events", 0, None, how.of_state(), contexts.moment())


def write(path: Path, contexts: PartitionContexts, how: ContextSettings) -> Snapshot:
    writer = SnapshotWriter(path, header(contexts, how))
    assert contexts.capture(writer.save).step(60)
    contexts.end_capture()
    writer.place()
    return writer.wait()


@both(
    120,
    st.sampled_from(SEMANTICS),
    st.lists(drafts(), min_size=1, max_size=40),
    st.tuples(*[st.integers(0, 12)] * 4),
    st.sampled_from([1, 3, 256]),
    st.sampled_from([{}, {"max_sessions": 2}, {"max_bytes": 4000}, {"max_bytes": 1}]),
)
def a_snapshot_and_what_came_after_it_is_the_state(
    how: Semantics,
    drafted: list[Draft],
    stretches: tuple[int, ...],
    every: int,
    caps: dict[str, int],
) -> None:
    log, _ = lay(drafted, how)
    settings = context_settings(how, every, **caps)
    whole, fates = PartitionContexts(settings, 100), []
    for record in log:
        fates.append(take(whole, record, how))
    lived = PartitionContexts(settings, 100)
    # Records before the snapshot, while it is begun, before it is placed, and after.
    first, begun, saved, placed = stretches
    todo = list(log)

    def live(count: int, writer: SnapshotWriter | None, found: Snapshot | None) -> None:
        for record in todo[:count]:
            take(lived, record, how)
            erased = {e.session_id: e.offset for e in lived.take_erasures()}
            if erased and writer is not None:
                writer.erase(erased)
            if erased and found is not None:
                found.erase(erased)
        del todo[:count]
        lived.rebuild_from()  # a commit

    with tempfile.TemporaryDirectory(dir=SHM) as directory:
        live(first, None, None)
        at = lived.next_offset
        path = Path(directory) / "events-0.state"
        writer = SnapshotWriter(path, header(lived, settings))
        capture = lived.capture(writer.save)
        live(begun, writer, None)
        assert capture.step(60)
        lived.end_capture()
        live(saved, writer, None)
        writer.place()
        found = writer.wait()
        live(placed, None, found)
        head, sessions, erased_at, again = read(path, settings.rules)
    assert (head.moment.next_offset, again.offset) == (at, at)
    assert erased_at < lived.next_offset
    restored = PartitionContexts.restore(settings, head.moment, sessions)
    for n, record in enumerate(log):
        if record.offset < at:
            continue
        fate = take(restored, record, how)
        if erased_at < at:  # else what lies before the tombstone is no session's any more
            assert fate == fates[n]
        if record.offset > erased_at and record.offset == log[-1].offset:
            assert state(restored) == state(whole) | (
                {"evicted": restored.evicted_before + restored.evicted} if erased_at >= at else {}
            )
    for record in todo:
        take(lived, record, how)
    assert state(lived) == state(whole)


test_restored, test_restored_soak = a_snapshot_and_what_came_after_it_is_the_state


def small_file(directory: Path) -> tuple[Path, ContextSettings]:
    settings = ContextSettings(SessionRules(max_length=2), 1000)
    contexts = PartitionContexts(settings, 0)
    for offset, (session, item) in enumerate(["ax", "ay", "bx", "az"]):
        contexts.add(Event(session, item, 1000 + offset, seq=3), offset)
    path = directory / "events-0.state"
    write(path, contexts, settings)
    return path, settings


def test_a_file_with_any_byte_changed_is_refused(tmp_path: Path) -> None:
    path, settings = small_file(tmp_path)
    whole = path.read_bytes()
    assert len(read(path, settings.rules)[1]) == 2
    for place in range(len(whole)):
        for change in (0x01, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= change
            path.write_bytes(damaged)
            with pytest.raises(SnapshotError):
                read(path, settings.rules)


def test_a_file_cut_off_or_gone_on_with_is_refused(tmp_path: Path) -> None:
    path, settings = small_file(tmp_path)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(SnapshotError):
            read(path, settings.rules)
    for more in (b"\0", whole, whole[-17:]):
        path.write_bytes(whole + more)
        with pytest.raises(SnapshotError):
            read(path, settings.rules)


def test_an_erased_session_leaves_no_trace_in_the_file(tmp_path: Path) -> None:
    settings = ContextSettings(SessionRules(), 1000)
    contexts = PartitionContexts(settings, 0)
    for offset, session in enumerate(["ann-of-kent", "bob"] * 2):
        contexts.add(Event(session, f"seen-by-{session}-{offset}", 1000 + offset), offset)
    path = tmp_path / "events-0.state"
    placed = write(path, contexts, settings)
    assert path.read_bytes().count(b"ann-of-kent") == 3
    size = path.stat().st_size
    assert placed.erase({"ann-of-kent": 7, "carl": 8}) == 1
    assert placed.erase({"ann-of-kent": 9}) == 0
    assert b"ann-of-kent" not in path.read_bytes() and path.stat().st_size == size
    for loaded in (placed, read(path, settings.rules)[3]):
        assert loaded.erase({"ann-of-kent": 9}) == 0
    _, sessions, erased_at, again = read(path, settings.rules)
    assert [s.session_id for s in sessions] == ["bob"] and erased_at == 7
    assert again.erase({"bob": 12}) == 1
    assert read(path, settings.rules)[1:3] == ([], 12)


def test_a_session_erased_while_its_snapshot_is_written_never_gets_into_it(tmp_path: Path) -> None:
    settings = ContextSettings(SessionRules(), 1000)
    for saved_first in (True, False):
        contexts = PartitionContexts(settings, 0)
        for offset, session in enumerate(["ann-of-kent", "bob"]):
            contexts.add(Event(session, "x", 1000 + offset), offset)
        path = tmp_path / f"events-{saved_first}.state"
        writer = SnapshotWriter(path, header(contexts, settings))
        capture = contexts.capture(writer.save)
        if saved_first:
            contexts.add(Event("ann-of-kent", "y", 1002), 2)
        contexts.erase("ann-of-kent", 3)
        writer.erase({e.session_id: e.offset for e in contexts.take_erasures()})
        assert capture.step(60)
        writer.place()
        writer.wait()
        _, sessions, erased_at, _ = read(path, settings.rules)
        assert [s.session_id for s in sessions] == ["bob"] and erased_at == 3
        assert b"ann-of-kent" not in path.read_bytes()


def test_the_twin_of_an_event_that_was_pushed_out_is_a_twin_after_a_load(tmp_path: Path) -> None:
    """All of one millisecond: what was pushed out of the full buffer is remembered for that."""
    settings = ContextSettings(SessionRules(max_length=2), 1000)
    contexts = PartitionContexts(settings, 0)
    for offset, item in enumerate("wxyz"):
        contexts.add(Event("a", item, 1000), offset)
    path = tmp_path / "events-0.state"
    write(path, contexts, settings)
    head, sessions, _, _ = read(path, settings.rules)
    restored = PartitionContexts.restore(settings, head.moment, sessions)
    for offset, item in enumerate("wxyz", start=4):
        assert restored.add(Event("a", item, 1000), offset) is Fate.DUPLICATE
    assert restored.rebuild_from() == (0, None)


def test_a_snapshot_is_written_in_steps_of_bounded_work() -> None:
    """However many sessions there are, the shortest step saves a few of them."""
    contexts = PartitionContexts(ContextSettings(SessionRules(), 10**9), 0)
    for offset in range(1000):
        contexts.add(Event(str(offset), "x", offset), offset)
    saved: list[str] = []
    capture = contexts.capture(lambda session: saved.append(session.session_id))
    counts = []
    while not capture.step(0):
        counts.append(len(saved))
    assert max(b - a for a, b in zip([0, *counts], counts, strict=False)) <= 32
    assert sorted(saved) == sorted(str(n) for n in range(1000))
