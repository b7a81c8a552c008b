"""The daemon as a state machine: any records, any polls, any faults, any number of restarts."""

from __future__ import annotations

import pytest
from boundary_events import SEMANTICS, Draft, drafts
from daemon_lives import PARTITIONS, Shop
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from kafka import TopicPartition
from memory_kafka import EVENTS, FAULTS, Fault
from naive_stream import Semantics
from state_budget import long, patient, quick

partitions = st.integers(0, PARTITIONS - 1)
names = st.sampled_from(["one", "two"])


class DaemonMachine(RuleBasedStateMachine):
    """What must hold is checked in :class:`Shop`, after every round and at the end."""

    @initialize(
        how=st.sampled_from(SEMANTICS),
        every=st.sampled_from([1, 3, 256]),
        snapshots=st.sampled_from([True, True, False]),
    )
    def open(self, how: Semantics, every: int, snapshots: bool) -> None:
        self.shop = Shop(how, every, snapshots)
        self.shop.cluster.owner = dict.fromkeys(self.shop.cluster.tps, "one")

    @rule(drafted=st.lists(drafts(), min_size=1, max_size=8), partition=partitions)
    def produce(self, drafted: list[Draft], partition: int) -> None:
        for draft in drafted:
            self.shop.append(draft, partition)

    @rule(partition=partitions)
    def end_a_transaction(self, partition: int) -> None:
        self.shop.hole(partition)

    @rule(name=names, size=st.integers(1, 12))
    def round(self, name: str, size: int) -> None:
        self.shop.round(name, size, Fault("over"))

    @rule(
        drafted=st.lists(drafts(), max_size=6),
        partition=partitions,
        size=st.integers(1, 12),
        kind=st.sampled_from(FAULTS),
        after=st.integers(0, 4),
        tries=st.integers(1, 3),
    )
    def faulty_rounds(
        self, drafted: list[Draft], partition: int, size: int, kind: str, after: int, tries: int
    ) -> None:
        """The owner of a partition gets records of it, and then something goes wrong, perhaps
        again while it is made good."""
        self.produce(drafted, partition)
        name = self.shop.cluster.owner[TopicPartition(EVENTS, partition)]
        for _ in range(tries):
            if name not in self.shop.daemons:  # its first round only learns what it owns
                self.shop.round(name, size, Fault("over"))
            self.shop.round(name, size, Fault(kind, after))

    @rule(name=names)
    def kill(self, name: str) -> None:
        self.shop.kill(name)

    @rule(name=names)
    def stop(self, name: str) -> None:
        self.shop.stop(name)

    @rule(partition=partitions, to=names, size=st.integers(1, 6), stale=st.booleans())
    def move(self, partition: int, to: str, size: int, stale: bool) -> None:
        """A partition changes hands; who had it may not have heard, and still go on with it."""
        tp = TopicPartition(EVENTS, partition)
        before = self.shop.cluster.owner[tp]
        self.shop.cluster.owner[tp] = to
        if before in self.shop.daemons:
            self.shop.round(before, size, Fault("over"), stale)

    @rule(
        name=names,
        partition=partitions,
        how=st.sampled_from(["revoked", "lost"]),
        size=st.integers(1, 6),
        stale=st.booleans(),
    )
    def shake(self, name: str, partition: int, how: str, size: int, stale: bool) -> None:
        """A partition is taken away and given back between two polls."""
        if name in self.shop.daemons:
            self.shop.consumers[name].shaken = {TopicPartition(EVENTS, partition): how}
            self.shop.round(name, size, Fault("over"), stale)

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            self.shop.finish()
            if self.shop.disk is not None:
                self.shop.disk.cleanup()


@patient
class TestDaemon(DaemonMachine.TestCase):  # type: ignore[misc, name-defined]
    settings = quick(60, stateful_step_count=30)


@pytest.mark.soak
class TestDaemonSoak(DaemonMachine.TestCase):  # type: ignore[misc, name-defined]
    settings = long(60, stateful_step_count=60)
