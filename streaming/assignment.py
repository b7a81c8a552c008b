"""Rebalances, noted on the client's thread and acted upon on ours."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import MemberState

from streaming.config import StreamConfig
from streaming.fencing import fenced_instance, place_is_taken
from streaming.orphans import OrphanWatch

log = logging.getLogger(__name__)

Change = tuple[str, list[TopicPartition]]


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    """Holds newly assigned partitions still until they were told where to begin.

    The callbacks run inside ``poll`` on the client's I/O thread, where nothing may block: they
    only pause and take notes. Nothing is in flight then, for every batch is committed before the
    next poll.
    """

    def __init__(self, consumer: KafkaConsumer, config: StreamConfig) -> None:
        self._consumer = consumer
        self._config = config
        self._changes: deque[Change] = deque()
        self._member = False
        self._orphans = OrphanWatch(consumer, config)
        self._lose_what_a_join_forgets()

    def changes(self) -> Iterable[Change]:
        """``assigned``, ``revoked`` or ``lost`` with the partitions, in order, once each."""
        while self._changes:
            yield self._changes.popleft()

    def finish_join(self) -> None:
        """Keeps a join from being left half done, sees that every partition has an owner, and
        finds out what the client keeps to itself; call it between polls.

        kafka-python 3.0.12: where a leader rejoins because its metadata changed and the poll's
        timeout ends meanwhile, the assignment it makes removes the reason for the join, so that no
        later poll takes up the answer: no heartbeat and no commit ever again. And where a heartbeat
        is answered that another process has our ``group_instance_id``, it stops its heartbeats and
        tells nobody: a process without events, and so without commits, would never know.

        Raises:
            FencedInstance: that is so.
        """
        coordinator = self._consumer._coordinator
        if coordinator.rebalance_in_progress():
            coordinator.request_rejoin()
        if coordinator.stable() and not coordinator._heartbeat_enabled:
            raise fenced_instance(self._config)
        if coordinator.stable() and (orphans := self._orphans.look()):
            log.warning("nobody in the group reads partitions %s: asking for a rebalance", orphans)
            coordinator.request_rejoin()

    def join_anew(self) -> None:
        """Joins the group anew after it did not know us: the next poll reports our partitions as
        lost.

        Raises:
            FencedInstance: a living process has our place.
        """
        if place_is_taken(self._config):
            raise fenced_instance(self._config)
        log.warning("the group had forgotten this process: joining anew")
        coordinator = self._consumer._coordinator
        coordinator.reset_generation()
        self._orphans.again()

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

    def _lose_what_a_join_forgets(self) -> None:
        """Has partitions reported as lost where the group forgot us, whenever we learn of it.

        kafka-python 3.0.12: where a join that has begun is answered that the group does not know
        the member, it joins anew without asking the listener (Java's client asks it again). What
        the new member is given then seems to have been its own all along; but others may have
        read it in between, and all that they wrote would be written again.
        """
        coordinator = self._consumer._coordinator
        reset = coordinator.reset_generation

        def reset_and_ask_again(*arguments: Any, **named: Any) -> None:
            reset(*arguments, **named)
            coordinator.rejoining = False

        coordinator.reset_generation = reset_and_ask_again

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
