"""Rebalances, noted on the client's thread and acted upon on ours."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import MemberState

Change = tuple[str, list[TopicPartition]]


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    """Holds newly assigned partitions still until they were told where to begin.

    The callbacks run inside ``poll`` on the client's I/O thread, where nothing may block: they
    only pause and take notes. Nothing is in flight then, for every batch is committed before the
    next poll.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._changes: deque[Change] = deque()
        self._member = False

    def changes(self) -> Iterable[Change]:
        """``assigned``, ``revoked`` or ``lost`` with the partitions, in order, once each."""
        while self._changes:
            yield self._changes.popleft()

    def finish_join(self) -> None:
        """Keeps a join from being left half done; call it between polls.

        kafka-python 3.0.12: where a leader rejoins because its metadata changed and the poll's
        timeout ends meanwhile, the assignment it makes removes the reason for the join, so that no
        later poll takes up the answer: no heartbeat and no commit ever again.
        """
        coordinator = self._consumer._coordinator
        if coordinator.rebalance_in_progress():
            coordinator.request_rejoin()

    @property
    def fenced(self) -> bool:
        """Whether another process joined the group under our ``group_instance_id``; ask between
        polls.

        kafka-python 3.0.12 then stops its heartbeats and tells nobody: a process without events,
        and so without commits, would never know.
        """
        coordinator = self._consumer._coordinator
        return bool(coordinator.stable() and not coordinator._heartbeat_enabled)

    def settled(self) -> bool:
        """Whether we are a member of the group and have acted on all that it told us. It may have
        told us of no partition at all. A member stays one while the group rebalances."""
        group = self._consumer.group_metadata()
        if group.generation_id < 0 or group.state is MemberState.UNJOINED:
            self._member = False
        elif group.state is MemberState.STABLE:
            # Before, a join is only half done: there is a generation, and no assignment yet.
            self._member = True
        return self._member and not self._changes

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        partitions = sorted(assigned)
        for tp in partitions:
            # Any position keeps the client from looking for one itself; nothing is read from it.
            self._consumer.pause(tp)
            self._consumer.seek(tp, 0)
        self._changes.append(("assigned", partitions))

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._changes.append(("revoked", sorted(revoked)))

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._changes.append(("lost", sorted(lost)))
