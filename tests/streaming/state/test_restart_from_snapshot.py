"""What a daemon does with the snapshot that one before it left: the cases, one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from boundary_events import Draft
from daemon_lives import Shop
from kafka import TopicPartition
from memory_kafka import EVENTS, Fault
from naive_stream import Semantics
from test_named_cases import SHOP

from session_rec.errors import UserError
from session_rec.events import Event
from session_rec.sessions import SessionRules
from streaming import snapshot_store, snapshot_writer
from streaming.accounting import Notices
from streaming.config import StreamConfig
from streaming.contexts import ContextSettings, Fate, PartitionContexts
from streaming.pipeline import Partition
from streaming.positions import Stand
from streaming.snapshot_store import SnapshotStore
from streaming.snapshot_writer import SnapshotWriter

TP = TopicPartition(EVENTS, 0)
ERASE = Draft("erasure", "a")


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Five events of one session are committed, and a snapshot stands for them."""
    shop = Shop(Semantics(), 1, snapshots=True)
    shop.cluster.owner = dict.fromkeys(shop.cluster.tps, "one")
    shop.round("one", 9, Fault("over"))  # learns what it owns
    for draft in SHOP:
        shop.append(draft, 0)
    rounds(shop, 8)
    assert shop.daemons["one"].pipeline.notices.snapshots_written >= 1 and shop.snapshots_seen
    yield shop
    shop.finish()
    assert shop.disk is not None
    shop.disk.cleanup()


def rounds(shop: Shop, count: int = 1) -> Any:
    for _ in range(count):
        shop.round("one", 9, Fault("over"))
    return shop.daemons["one"].pipeline.notices


def test_a_restart_reads_nothing_again_that_the_snapshot_holds(shop: Shop) -> None:
    shop.append(SHOP[0], 0)
    shop.round("one", 9, Fault("kill after commit"))
    notices = rounds(shop, 2)
    # The snapshot stands for offset 5, the commit for 6; the other partition's is loaded too.
    assert (notices.snapshots_loaded, notices.snapshots_refused, notices.rebuilt) == (2, 0, 1)


def test_without_the_file_the_same_comes_from_the_commit(shop: Shop) -> None:
    shop.kill("one")
    assert shop.disk is not None
    (Path(shop.disk.name) / "one" / "events-0.state").unlink()
    notices = rounds(shop, 2)
    assert (notices.snapshots_loaded, notices.rebuilt) == (1, 4)  # the first made room


def test_a_damaged_file_is_thrown_away(shop: Shop) -> None:
    shop.kill("one")
    assert shop.disk is not None
    path = Path(shop.disk.name) / "one" / "events-0.state"
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    notices = rounds(shop, 2)
    assert (notices.snapshots_loaded, notices.snapshots_refused, notices.rebuilt) == (1, 1, 4)


def test_an_erasure_that_was_not_committed_takes_the_snapshot_with_it(shop: Shop) -> None:
    """The session is gone from the file, and the events before the tombstone are predicted again:
    from the commit they get the contexts that they had. Then the tombstone comes again."""
    shop.append(SHOP[0], 0)
    shop.append(ERASE, 0)
    shop.round("one", 9, Fault("kill before commit"))
    assert shop.cluster.commits[TP].offset == 5
    notices = rounds(shop, 2)
    assert (notices.snapshots_loaded, notices.snapshots_refused) == (1, 1)
    assert len(shop.cluster.produced) == 7 and shop.cluster.commits[TP].offset == 7


def test_an_erasure_that_was_committed_stays_one(shop: Shop) -> None:
    shop.append(ERASE, 0)
    shop.round("one", 9, Fault("kill after commit"))
    assert shop.cluster.commits[TP].offset == 6
    notices = rounds(shop, 2)
    assert (notices.snapshots_loaded, notices.snapshots_refused, notices.rebuilt) == (2, 0, 1)
    assert len(shop.daemons["one"]._partitions[TP].contexts) == 0


def test_a_partition_that_goes_takes_its_snapshot_along(shop: Shop) -> None:
    assert shop.disk is not None
    path = Path(shop.disk.name) / "one" / "events-0.state"
    assert path.exists()
    shop.cluster.owner[TP] = "two"
    rounds(shop)
    assert not path.exists()


SETTINGS = ContextSettings(SessionRules(), 1000)


def store(directory: Path, settings: ContextSettings = SETTINGS, **more: Any) -> SnapshotStore:
    config = StreamConfig(model="toy", group_id=more.pop("group", "group"))  # type: ignore[arg-type]
    topic_id = more.pop("topic_id", "id-1")
    return SnapshotStore(directory, config, settings, lambda: topic_id, Notices())


def partition(offset: int = 7) -> Partition:
    return Partition("events-0", PartitionContexts(SETTINGS, offset), offset, offset)


@pytest.mark.parametrize(
    ("stand", "how", "why"),
    [
        (Stand(0, 9, 7), {}, None),
        (Stand(7, 9, 7), {}, None),
        (Stand(0, 9, 8), {"topic_id": None}, None),
        (Stand(0, 9, 6), {}, "ahead of the commit (7 > 6)"),
        (Stand(8, 9, 8), {}, "offsets 7 to 7 after it expired"),
        (Stand(0, 9, 7), {"topic_id": "id-2"}, "made anew"),
        (Stand(0, 9, 7), {"group": "other"}, "of group 'group'"),
        (
            Stand(0, 9, 7),
            {"settings": replace(SETTINGS, allowed_lateness_ms=5)},
            "other settings (allowed_lateness_ms)",
        ),
        (Stand(0, 9, 7), {"settings": replace(SETTINGS, max_bytes=1)}, "(max_bytes)"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_thrown_away_and_it_is_said_why(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    stand: Stand,
    how: dict[str, Any],
    why: str | None,
) -> None:
    before = store(tmp_path)
    before.write_all({TP: partition()})
    before.close()
    after = store(tmp_path, **how)
    found = after.load(TP, stand)
    after.close()
    if why is None:
        assert found is not None and found.next_offset == 7
        assert not [r for r in caplog.records if r.levelname == "WARNING"]
    else:
        assert found is None and not (tmp_path / "events-0.state").exists()
        assert why in caplog.text


def test_a_directory_serves_one_process(tmp_path: Path) -> None:
    first = store(tmp_path)
    with pytest.raises(UserError, match="give each daemon one of its own"):
        store(tmp_path)
    first.close()
    store(tmp_path).close()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be used"):
        store(tmp_path / "file")


def test_what_was_left_half_written_goes_at_start_and_what_is_not_ours_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_store, "STRANGERS_STAY_S", 0)
    (tmp_path / ".events-3.state.tmp").touch()
    (tmp_path / "events-3.state").touch()
    held = store(tmp_path)
    assert [p.name for p in tmp_path.glob("*.tmp")] == []
    ours = partition()
    held.write_all({TP: ours})
    held.step({TP: ours})
    held.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events-0.state", "lock"]


def test_a_full_disk_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    held, ours = store(tmp_path), partition()
    monkeypatch.setattr(os, "rename", mock.Mock(side_effect=OSError(28, "No space left on device")))
    held.write_all({TP: ours})
    for _ in range(3):
        held.step({TP: ours})
    held.abort()
    held.close()
    assert "No space left" in caplog.text
    assert [p.name for p in tmp_path.iterdir()] == ["lock"]


def test_a_disk_that_fills_up_under_an_event_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is about to change is saved first, in the middle of a batch."""
    held, ours = store(tmp_path), partition()
    ours.contexts.add(Event("a", "x", 1), 7)
    ours.committed = 8
    held.step({TP: ours})
    with monkeypatch.context() as patch:
        full = mock.Mock(side_effect=OSError(28, "No space left on device"))
        patch.setattr(SnapshotWriter, "_write", full)
        assert ours.contexts.add(Event("a", "y", 2), 8) is Fate.NEWEST
        assert full.called
    for _ in range(3):
        held.step({TP: ours})
    assert "No space left" in caplog.text and not held.busy
    assert [p.name for p in tmp_path.iterdir()] == ["lock"]
    assert [e.item for e in ours.contexts.context("a")] == ["x", "y"]
    held.close()


def test_a_file_whose_name_is_not_durable_goes_so_that_none_is_left_unerased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, ours = store(tmp_path), partition()
    ours.contexts.add(Event("ann-of-kent", "x", 1), 7)
    ours.committed = 8
    with monkeypatch.context() as patch:
        patch.setattr(
            snapshot_writer,
            "sync_directory",
            mock.Mock(side_effect=OSError(5, "Input/output error")),
        )
        held.write_all({TP: ours})
    held.erase(TP, {"ann-of-kent": 8})
    left = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    held.close()
    assert b"ann-of-kent" not in left


def test_snapshots_that_take_too_long_keep_nobody_from_leaving_the_group(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = StreamConfig(model="toy", shutdown_timeout_s=1e-6)  # type: ignore[arg-type]
    held = SnapshotStore(tmp_path, config, SETTINGS, lambda: "id-1", Notices())
    ours = partition()
    held.step({TP: ours})
    while held.busy:
        held.step({TP: ours})
    before = (tmp_path / "events-0.state").read_bytes()
    ours.contexts.add(Event("a", "x", 1), 7)
    ours.committed = 8
    held.write_all({TP: ours})
    assert "no time is left" in caplog.text and not held.busy
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events-0.state", "lock"]
    assert (tmp_path / "events-0.state").read_bytes() == before
    held.close()


def test_an_erasure_that_no_disk_can_carry_out_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, ours = store(tmp_path), partition()
    ours.contexts.add(Event("a", "x", 1), 7)
    ours.committed = 8
    held.write_all({TP: ours})
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", mock.Mock(side_effect=OSError(30, "Read-only file system")))
        held.erase(TP, {"a": 8})  # the file went instead
    assert not (tmp_path / "events-0.state").exists()
    held.write_all({TP: ours})
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", mock.Mock(side_effect=OSError(30, "Read-only file system")))
        patch.setattr(Path, "unlink", mock.Mock(side_effect=OSError(30, "Read-only file system")))
        with pytest.raises(UserError, match="remove it by hand"):
            held.erase(TP, {"a": 8})
    held.close()
