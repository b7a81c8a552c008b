"""Committed offsets of one group, those of open transactions apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NO_OFFSET = -1

TopicPartition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    """An offset with its metadata; `order` counts all commits of the group."""

    offset: int
    leader_epoch: int
    metadata: str
    order: int = 0


class GroupOffsets:
    """What OffsetFetch reads and the commits write."""

    def __init__(self) -> None:
        self._committed: dict[TopicPartition, CommittedOffset] = {}
        # producer id -> offsets that become visible when its transaction commits
        self._pending: dict[int, dict[TopicPartition, CommittedOffset]] = {}
        self._commits = 0

    def commit(self, partition: TopicPartition, offset: int, epoch: int, metadata: str) -> None:
        self._committed[partition] = self._numbered(offset, epoch, metadata)

    def commit_in_transaction(
        self, producer_id: int, partition: TopicPartition, offset: int, epoch: int, metadata: str
    ) -> None:
        pending = self._pending.setdefault(producer_id, {})
        pending[partition] = self._numbered(offset, epoch, metadata)

    def end_transaction(self, producer_id: int, committed: bool) -> None:
        """Makes the transaction's offsets visible, or forgets them."""
        pending = self._pending.pop(producer_id, {})
        if not committed:
            return
        for partition, offset in pending.items():
            current = self._committed.get(partition)
            # A plain commit made after the transactional one has the last word.
            if current is None or current.order < offset.order:
                self._committed[partition] = offset

    def get(self, partition: TopicPartition) -> CommittedOffset | None:
        return self._committed.get(partition)

    def is_unstable(self, partition: TopicPartition) -> bool:
        """Whether an open transaction may still change the offset."""
        return any(partition in offsets for offsets in self._pending.values())

    def partitions(self) -> list[TopicPartition]:
        """Every partition with an offset, committed or in a transaction."""
        pending = (partition for offsets in self._pending.values() for partition in offsets)
        return list(dict.fromkeys((*self._committed, *pending)))

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Drops the offsets of partitions, such as those of a deleted topic."""
        for partition in partitions:
            self._committed.pop(partition, None)
            for pending in self._pending.values():
                pending.pop(partition, None)

    def _numbered(self, offset: int, epoch: int, metadata: str) -> CommittedOffset:
        self._commits += 1
        return CommittedOffset(offset, epoch, metadata, self._commits)
