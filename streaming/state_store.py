"""Where the state of a partition begins, and what must have happened to it before a commit."""

from __future__ import annotations

import logging

from kafka import TopicPartition

from streaming.accounting import Notices
from streaming.config import StreamConfig
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.erasures import AuditLog
from streaming.pipeline import Partition
from streaming.positions import Positions
from streaming.snapshot_store import Partitions, SnapshotStore

log = logging.getLogger(__name__)


class StateStore:
    """Begins the state of a partition that was assigned: from its snapshot, else from the commit.

    Args:
        config: the daemon's settings.
        settings: what decides the state of a partition.
        positions: finds where to read from.
        notices: what it counts.

    Raises:
        UserError: ``state_dir`` or ``audit_log`` cannot be used.
    """

    def __init__(
        self,
        config: StreamConfig,
        settings: ContextSettings,
        positions: Positions,
        notices: Notices,
    ) -> None:
        self._settings = settings
        self._positions = positions
        self._notices = notices
        self._cut: dict[TopicPartition, Partition] = {}
        key = config.audit_key() if config.audit_log else None
        self._audit = AuditLog(config.audit_log, key) if config.audit_log and key else None
        self._snapshots: SnapshotStore | None = None
        if config.state_dir is not None:
            self._snapshots = SnapshotStore(
                config.state_dir, config, settings, positions.topic_id, notices
            )

    @property
    def busy(self) -> bool:
        """Whether a snapshot is under way, and wants its next step soon."""
        return self._snapshots is not None and self._snapshots.busy

    def begin(self, tp: TopicPartition) -> Partition:
        """A partition just assigned; it is to be read from the ``next_offset`` of its contexts.

        Raises:
            UserError: records expired unread, and loss is not accepted.
        """
        stand = self._positions.stand(tp)
        self._notices.lost += stand.lost
        name = f"{tp.topic}-{tp.partition}"
        contexts = self._snapshots.load(tp, stand) if self._snapshots is not None else None
        missing = 0
        if contexts is None:
            position = self._positions.find(tp, stand)
            contexts = PartitionContexts(self._settings, position.read_from, position.stream_time)
            missing = position.missing
        partition = Partition(name, contexts, stand.offset, stand.offset)
        if missing:
            self._notices.cut_records += missing
            self._cut[tp] = partition
        log.info(
            "partition %d: emitting from offset %d, contexts rebuilt from %d",
            tp.partition,
            partition.emit_from,
            contexts.next_offset,
            extra={"partition": tp.partition, "offset": partition.emit_from},
        )
        return partition

    def drop(self, tp: TopicPartition) -> None:
        """A partition is ours no more, or begins anew elsewhere. Nobody tells us of erasures in it
        from now on, so nothing of it stays on the disk."""
        self._cut.pop(tp, None)
        if self._snapshots is not None:
            self._snapshots.drop(tp)

    def before_commit(self, partitions: Partitions) -> None:
        """Has what was erased since the last call erased from the disk too, and recorded.

        Raises:
            UserError: that cannot be done; then nothing may be committed.
        """
        for tp, partition in partitions.items():
            erasures = partition.contexts.take_erasures()
            if not erasures:
                continue
            if self._snapshots is not None:
                self._snapshots.erase(tp, {e.session_id: e.offset for e in erasures})
            if self._audit is not None:
                # What lies before the commit was recorded before it was committed.
                new = [e for e in erasures if e.offset >= partition.emit_from]
                self._audit.record(tp.topic, tp.partition, new)

    def after_commit(self, partitions: Partitions) -> None:
        """Goes on with the snapshots, for a few milliseconds."""
        for tp, partition in list(self._cut.items()):
            if not partition.rebuilding:
                del self._cut[tp]
                short = partition.contexts.short()
                self._notices.cut_contexts += short
                log.warning(
                    "partition %d: %d of %d live sessions may lack events that expired",
                    tp.partition,
                    short,
                    len(partition.contexts),
                )
        if self._snapshots is not None:
            self._snapshots.step(partitions)

    def save(self, partitions: Partitions) -> None:
        """Writes snapshots of all that is committed; call it when everything is."""
        if self._snapshots is not None:
            self._snapshots.write_all(partitions)

    def close(self) -> None:
        """Gives ``state_dir`` free."""
        if self._snapshots is not None:
            self._snapshots.close()
