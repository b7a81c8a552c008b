"""Partitions that a killed member gave up, and that nobody was given."""

from __future__ import annotations

import time
from typing import Any

from kafka import KafkaConsumer
from kafka.future import Future
from kafka.protocol.admin import DescribeGroupsRequest
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

from streaming.config import StreamConfig

_LOOK_S = 1.0  #: between two looks at the group


class OrphanWatch:
    """Looks at the group, after a static member joined, until every partition has an owner.

    In a cooperative rebalance a member first gives partitions up and then joins once more, so that
    others are given them (KIP-429). One that is killed between the two, and started again, gets
    its place and what was left of its partitions without a rebalance (KIP-345): that one is due is
    known to nobody then, and what was given up would be read by nobody until the next.

    Args:
        consumer: ours; the questions travel on its connections, and nothing waits for them.
    """

    def __init__(self, consumer: KafkaConsumer, config: StreamConfig) -> None:
        self._consumer = consumer
        self._group, self._topic = config.group_id, config.topics.events
        # Where a dynamic member was killed, the end of its session brings a rebalance.
        self._needed = config.group_instance_id is not None
        self._done = False
        self._asked: Future | None = None
        self._not_before = 0.0

    def again(self) -> None:
        """We joined anew: begins to look once more."""
        self._done, self._asked = False, None

    def look(self) -> list[int]:
        """The partitions without an owner, once for each answer that tells of some; call it
        between polls, as a member."""
        if not self._needed or self._done:
            return []
        if self._asked is None:
            if time.monotonic() >= self._not_before:
                self._not_before = time.monotonic() + _LOOK_S
                self._asked = self._ask()
            return []
        if not self._asked.is_done:
            return []
        asked, self._asked = self._asked, None
        # Of one topic alone: nobody in our group reads another.
        ours = self._consumer.partitions_for_topic(self._topic)
        owned = _owned(asked.value) if asked.succeeded() else None
        if owned is None or not ours:
            return []
        self._done = ours <= owned
        return sorted(ours - owned)

    def _ask(self) -> Future:
        coordinator = self._consumer._coordinator
        request = DescribeGroupsRequest(groups=[self._group], include_authorized_operations=False)

        async def ask() -> Any:
            return await coordinator._manager.send(request, node_id=coordinator.coordinator_id)

        return coordinator._manager.call_soon(ask)


def _owned(response: Any) -> set[int] | None:
    """The partitions that the members of a stable group have; None where it is not stable, or the
    broker cannot say."""
    (group,) = response.groups
    if group.error_code or group.group_state != "Stable":
        return None
    assignments = (m.member_assignment for m in group.members if m.member_assignment)
    decoded = map(ConsumerProtocolAssignment.decode, assignments)
    return {tp.partition for assignment in decoded for tp in assignment.partitions()}
