"""Snapshots of our partitions in one directory: written in small steps, loaded where they fit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from kafka import TopicPartition

from streaming import snapshots
from streaming.accounting import Notices
from streaming.config import StreamConfig
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.live_sessions import Capture
from streaming.pipeline import Partition
from streaming.positions import Stand
from streaming.snapshot_format import SnapshotError, SnapshotHeader
from streaming.snapshot_writer import SnapshotWriter
from streaming.snapshots import Snapshot
from streaming.state_directory import StateDirectory

log = logging.getLogger(__name__)

#: Seconds that one step of a snapshot may take: what an event waits at most on its account.
STEP_S = 0.004

#: Seconds after the start after which a snapshot of a partition that is not ours goes: nobody tells
#: us of the erasures in it.
STRANGERS_STAY_S = 600.0

Partitions = Mapping[TopicPartition, Partition]


class SnapshotStore:
    """One file for each partition, in a directory that belongs to this process.

    A snapshot is never ahead of the commit when it is begun: what is read after it up to the commit
    gives the state at the commit. A directory that cannot be written is told of in the log and
    slows restarts down; it stops nothing but an erasure.

    Args:
        directory: where; made if it is not there.
        config: the daemon's settings.
        settings: what decides the state of a partition.
        topic_id: tells the cluster's id of the events topic.
        notices: what it counts.

    Raises:
        UserError: the directory cannot be made, or another process uses it.
    """

    def __init__(
        self,
        directory: Path,
        config: StreamConfig,
        settings: ContextSettings,
        topic_id: Callable[[], str | None],
        notices: Notices,
    ) -> None:
        self._directory = StateDirectory(directory)
        self._config = config
        self._settings = settings
        self._topic_id = topic_id
        self._notices = notices
        self._placed: dict[TopicPartition, Snapshot] = {}
        self._due: dict[TopicPartition, float] = {}
        self._writing: _Writing | None = None
        self._sweep_at = time.monotonic() + STRANGERS_STAY_S

    @property
    def busy(self) -> bool:
        """Whether a snapshot is under way."""
        return self._writing is not None

    def load(self, tp: TopicPartition, stand: Stand) -> PartitionContexts | None:
        """The state as of the partition's snapshot; None where there is none that fits: one that
        does not is thrown away, with a line that says why."""
        if self._writing is not None and self._writing.tp == tp:
            self.abort()
        self._due[tp] = time.monotonic() + self._config.snapshot_interval_s
        path, begun = self._directory.file(tp), time.perf_counter()
        try:
            with snapshots.no_collection():
                header, sessions, erased_at, placed = snapshots.read(path, self._settings.rules)
                self._check(header, tp, stand, erased_at)
                contexts = PartitionContexts.restore(self._settings, header.moment, sessions)
        except FileNotFoundError:
            return None
        except (SnapshotError, OSError) as e:
            self._notices.snapshots_refused += 1
            log.warning(
                "partition %d: the snapshot in %s is thrown away, %s; reading back by the commit",
                tp.partition,
                path,
                e,
            )
            self._remove(tp)
            return None
        self._placed[tp] = placed
        self._notices.snapshots_loaded += 1
        log.info(
            "partition %d: %d sessions as of offset %d from a snapshot, in %.2f s",
            tp.partition,
            len(contexts),
            placed.offset,
            time.perf_counter() - begun,
        )
        return contexts

    def step(self, partitions: Partitions) -> None:
        """Goes on with the snapshots, for :data:`STEP_S` at most; call it after a commit."""
        try:
            if self._writing is None:
                self._start_next(partitions)
            else:
                self._go_on()
        except OSError as e:
            log.warning("no snapshot of the state can be kept in %s: %s", self._directory.path, e)
            self.abort()
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = float("inf")
            self._directory.sweep(partitions)

    def write_all(self, partitions: Partitions) -> None:
        """Writes a snapshot of what is committed of each partition, so that a restart reads
        nothing again. It takes half of ``shutdown_timeout_s`` at most: the group must be left in
        time, too."""
        self.abort()
        deadline = time.monotonic() + self._config.shutdown_timeout_s / 2
        try:
            for tp, partition in partitions.items():
                if self._wants(tp, partition):
                    self._start(tp, partition.contexts)
                    while self._writing is not None:
                        if time.monotonic() >= deadline and not self._writing.writer.placing:
                            log.warning("no time is left to write snapshots: the last ones stay")
                            self.abort()
                            return
                        self._go_on(wait=True)
        except OSError as e:
            log.warning("no snapshot of the state can be kept in %s: %s", self._directory.path, e)
            self.abort()

    def erase(self, tp: TopicPartition, sessions: dict[str, int]) -> None:
        """Takes sessions, given with the offsets of their tombstones, out of what is on the disk.

        Raises:
            UserError: that cannot be done.
        """
        try:
            if self._writing is not None and self._writing.tp == tp:
                if self._writing.writer.placing:
                    self._go_on(wait=True)
                else:
                    self._writing.writer.erase(sessions)
            if tp in self._placed:
                self._placed[tp].erase(sessions)
        except OSError as e:
            log.warning("partition %d: its snapshot cannot be changed, it goes: %s", tp[1], e)
            self.drop(tp)

    def drop(self, tp: TopicPartition) -> None:
        """Takes away what is on the disk of a partition: it is ours no more, or begins anew.

        Raises:
            UserError: that cannot be done.
        """
        self._due.pop(tp, None)
        if self._writing is not None and self._writing.tp == tp:
            self.abort()
        self._remove(tp)

    def abort(self) -> None:
        """What is half written goes."""
        if self._writing is not None:
            self._writing.contexts.end_capture()
            self._writing.writer.abort()
            self._writing = None

    def close(self) -> None:
        """Gives the directory free."""
        self.abort()
        self._directory.close()

    def _check(
        self, header: SnapshotHeader, tp: TopicPartition, stand: Stand, erased_at: int
    ) -> None:
        """Raises SnapshotError where the snapshot does not fit."""
        offset, topic_id = header.moment.next_offset, self._topic_id()
        if (header.group, header.topic, header.partition) != (self._config.group_id, *tp):
            raise SnapshotError(
                f"it is of group {header.group!r} on {header.topic}-{header.partition}"
            )
        if header.topic_id is not None and topic_id is not None and header.topic_id != topic_id:
            raise SnapshotError("the topic was made anew since")
        ours = self._settings.of_state()
        other = [name for name in ours if header.settings.get(name) != ours[name]]
        if other or len(header.settings) != len(ours):
            raise SnapshotError(f"it was made under other settings ({', '.join(other)})")
        if offset > stand.offset:
            raise SnapshotError(f"it is ahead of the commit ({offset} > {stand.offset})")
        if offset < stand.begin:
            raise SnapshotError(f"offsets {offset} to {stand.begin - 1} after it expired")
        if erased_at >= stand.offset:
            # Its session is gone from it, but events before the tombstone are predicted again.
            raise SnapshotError(f"the erasure at offset {erased_at} was not committed")

    def _wants(self, tp: TopicPartition, partition: Partition) -> bool:
        """Whether a snapshot of this moment is of use: it must not be ahead of the commit."""
        at = partition.contexts.next_offset
        placed = self._placed.get(tp)
        return (
            at == partition.committed
            and not partition.rebuilding
            and (placed is None or placed.offset < at)
        )

    def _start_next(self, partitions: Partitions) -> None:
        now = time.monotonic()
        for tp, partition in partitions.items():
            if self._due.get(tp, now) <= now and self._wants(tp, partition):
                self._due[tp] = now + self._config.snapshot_interval_s
                self._start(tp, partition.contexts)
                return

    def _start(self, tp: TopicPartition, contexts: PartitionContexts) -> None:
        header = SnapshotHeader(
            self._config.group_id,
            tp.topic,
            tp.partition,
            self._topic_id(),
            self._settings.of_state(),
            contexts.moment(),
        )
        writer = SnapshotWriter(self._directory.file(tp), header)
        self._writing = _Writing(tp, contexts, contexts.capture(writer.save), writer)

    def _go_on(self, wait: bool = False) -> None:
        assert self._writing is not None
        tp, contexts, capture, writer = self._writing
        if not writer.placing:
            if capture.step(STEP_S):
                contexts.end_capture()
                writer.place()
        elif wait or writer.placed:
            self._placed[tp] = writer.wait()
            self._writing = None
            self._notices.snapshots_written += 1

    def _remove(self, tp: TopicPartition) -> None:
        self._placed.pop(tp, None)
        self._directory.remove(tp)


class _Writing(NamedTuple):
    tp: TopicPartition
    contexts: PartitionContexts
    capture: Capture
    writer: SnapshotWriter
