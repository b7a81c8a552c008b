"""Partitions that others may have read meanwhile begin anew, however the client learns of it."""

from __future__ import annotations

import time

import pytest
from broker_fixtures import Broker, unique
from kafka.admin import MemberToRemove

from streaming.assignment import Assignment
from streaming.config import StreamConfig
from streaming.kafka_clients import make_consumer


@pytest.mark.parametrize("instance", [None, "shelf-1"], ids=["dynamic", "static"])
def test_a_member_that_is_forgotten_while_it_joins_loses_its_partitions(
    broker: Broker, instance: str | None
) -> None:
    topic = broker.topic(2)
    config = StreamConfig.model_validate(
        {
            "model": "toy",
            "kafka": {"bootstrap_servers": broker.bootstrap_servers},
            "topics": {"events": topic},
            "group_id": unique("group"),
            "group_instance_id": instance,
        }
    )
    consumer = make_consumer(config)
    assignment = Assignment(consumer, config)
    consumer.subscribe([topic], listener=assignment)

    def changes(count: int) -> list[tuple[str, list[int]]]:
        found: list[tuple[str, list[int]]] = []
        deadline = time.monotonic() + 30
        while len(found) < count and time.monotonic() < deadline:
            consumer.poll(timeout_ms=50)
            assignment.finish_join()  # as the daemon does: a new topic makes joins half done too
            found += [(kind, [tp.partition for tp in tps]) for kind, tps in assignment.changes()]
        return found

    try:
        assert changes(1) == [("assigned", [0, 1])]
        member = consumer.group_metadata().member_id
        gone = MemberToRemove(group_instance_id=instance) if instance else MemberToRemove(member)
        broker.admin.remove_group_members(config.group_id, [gone])
        # Before a heartbeat tells it, something else makes it join: the join is what fails.
        consumer._coordinator.request_rejoin()
        assert changes(2) == [("lost", [0, 1]), ("assigned", [0, 1])]
    finally:
        consumer.close(autocommit=False)
