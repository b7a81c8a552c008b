"""Kafka's clients over lists in memory, with faults where a test wants them.

The daemon runs on them unchanged. A record is in a list once the brokers have it; what a process
that is killed had only in its own memory is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import TopicPartition
from kafka.errors import (
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RebalanceInProgressError,
)
from kafka.structs import ConsumerGroupMetadata, MemberState, OffsetAndMetadata
from naive_stream import Record

EVENTS, PREDICTIONS, DEAD = "events", "predictions", "dead"


class Killed(BaseException):
    """The process is gone at this very instruction."""


@dataclass
class Fault:
    """What goes wrong in the next round; at a send, once ``after`` sends have been made.

    ``kind`` is one of :data:`FAULTS`.
    """

    kind: str
    after: int = 0
    sends: int = 0

    def at(self, *kinds: str) -> bool:
        """Whether this fault is one of ``kinds`` and its turn has come; it comes once."""
        if self.kind not in kinds or ("send" in self.kind and self.sends < self.after):
            return False
        self.kind = "over"
        return True


FAULTS = (
    "refuse send",  # the client does not take one output
    "lose send",  # the brokers never get it
    "unsure send",  # the brokers have it, and the client does not know
    "no cluster",  # nothing is delivered any more, until the daemon gives up
    "kill at send",
    "kill before commit",  # everything is delivered, nothing committed
    "kill after commit",
    "refuse commit",  # the group rebalances
    "delay commit",  # the coordinator is away for a moment
    "fail commit",  # the daemon gives up
    "fail poll",
)


@dataclass
class Cluster:
    """Topics, commits, and who owns which partition."""

    partitions: int
    events: dict[TopicPartition, list[Record]] = field(default_factory=dict)
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    commits: dict[TopicPartition, OffsetAndMetadata] = field(default_factory=dict)
    produced: list[Any] = field(default_factory=list)  # what the brokers have, in order
    owner: dict[TopicPartition, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for tp in self.tps:
            self.events[tp], self.ends[tp] = [], 0

    @property
    def tps(self) -> list[TopicPartition]:
        return [TopicPartition(EVENTS, p) for p in range(self.partitions)]

    def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        for tp, entry in offsets.items():
            assert tp not in self.commits or entry.offset >= self.commits[tp].offset, "moved back"
            assert entry.offset <= self.ends[tp]
        self.commits |= offsets


class Consumer:
    """A member of the one group; ``name`` is who it is to the cluster."""

    def __init__(self, cluster: Cluster, name: object) -> None:
        self.cluster, self.name = cluster, name
        self.fault = Fault("over")
        self.max_records = 1
        self.stale = False  # whether a poll still hands over what was fetched before a rebalance
        self.shaken: dict[TopicPartition, str] = {}  # taken away and given back at once
        self.handed: list[Record] = []  # of the last poll, and still ours after it
        self.begun: dict[TopicPartition, int] = {}  # the commit that stood when it was assigned
        self._owned: set[TopicPartition] = set()
        self._at: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._coordinator = self

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        self._listener = listener

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        if self.fault.at("fail poll"):
            raise NodeNotReadyError("not now")
        fetched = self._fetch() if self.stale else {}
        changed = self._join()
        if not self.stale:
            fetched = self._fetch()
        self.handed = [r for tp, rs in fetched.items() if tp not in changed for r in rs]
        return fetched

    def _fetch(self) -> dict[TopicPartition, list[Record]]:
        room, found = self.max_records, {}
        for tp in sorted(self._owned - self._paused):
            records = [r for r in self.cluster.events[tp] if r.offset >= self._at[tp]][:room]
            if records:
                found[tp] = records
                self._at[tp] = records[-1].offset + 1
                room -= len(records)
        return found

    def _join(self) -> set[TopicPartition]:
        """Tells the listener what changed hands since the last poll."""
        mine = {tp for tp, owner in self.cluster.owner.items() if owner == self.name}
        gone, new = self._owned - mine, mine - self._owned
        if gone:
            self._listener.on_partitions_revoked(gone)
        self._owned = mine
        for tp, how in self.shaken.items():
            if tp in mine - new:
                {
                    "revoked": self._listener.on_partitions_revoked,
                    "lost": self._listener.on_partitions_lost,
                }[how]([tp])
                new.add(tp)
        self.shaken = {}
        if new:
            self._listener.on_partitions_assigned(new)
        return gone | new

    def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata], timeout_ms: int) -> None:
        if self.fault.at("kill before commit"):
            raise Killed
        if self.fault.at("refuse commit"):
            raise RebalanceInProgressError("not now")
        if self.fault.at("delay commit"):
            raise CoordinatorNotAvailableError("not yet")
        if self.fault.at("fail commit"):
            raise GroupAuthorizationFailedError("not any more")
        # Before it joins, a group's first commit is anyone's.
        if self._owned and any(self.cluster.owner[tp] != self.name for tp in offsets):
            raise RebalanceInProgressError("another member has it")
        self.cluster.commit(offsets)
        if self.fault.at("kill after commit"):
            raise Killed

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._at[tp] = offset

    def pause(self, *tps: TopicPartition) -> None:
        self._paused |= set(tps)

    def resume(self, *tps: TopicPartition) -> None:
        """The daemon lets a partition run once it has told where to begin."""
        self._paused -= set(tps)
        for tp in tps:
            self.begun[tp] = self.cluster.commits[tp].offset

    def assignment(self) -> set[TopicPartition]:
        return set(self._owned)

    def committed(self, tp: TopicPartition, metadata: bool, timeout_ms: int) -> Any:
        return self.cluster.commits.get(tp)

    def beginning_offsets(self, tps: Iterable[TopicPartition], **_: Any) -> dict[Any, int]:
        return dict.fromkeys(tps, 0)

    def end_offsets(self, tps: Iterable[TopicPartition], **_: Any) -> dict[Any, int]:
        return {tp: self.cluster.ends[tp] for tp in tps}

    def position(self, tp: TopicPartition, timeout_ms: int) -> int | None:
        return self._at.get(tp)

    def highwater(self, tp: TopicPartition) -> int:
        return self.cluster.ends[tp]

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self.cluster.partitions))

    def rebalance_in_progress(self) -> bool:
        return False

    def reset_generation(self) -> None:
        """Nothing here is forgotten while it joins."""

    def group_metadata(self) -> ConsumerGroupMetadata:
        return ConsumerGroupMetadata("group", 0, str(self.name), None, MemberState.STABLE)

    def stable(self) -> bool:
        return False  # so nobody asks after its heartbeats


class Future:
    def __init__(self, exception: Exception | None) -> None:
        self.exception = exception

    def succeeded(self) -> bool:
        return self.exception is None


class Producer:
    """Hands records to the cluster at once; ``told`` keeps what was sent since the last poll."""

    def __init__(self, cluster: Cluster, consumer: Consumer) -> None:
        self._cluster, self._consumer = cluster, consumer

    def send(self, topic: str, key: Any, value: Any, headers: Any) -> Future:
        fault = self._consumer.fault
        if fault.at("kill at send"):
            raise Killed
        if fault.at("refuse send"):
            raise KafkaTimeoutError("no room")
        if fault.kind == "no cluster" and fault.sends >= fault.after:
            return Future(KafkaTimeoutError("nobody there"))
        if fault.at("lose send"):
            return Future(KafkaTimeoutError("no answer"))
        fault.sends += 1
        self._cluster.produced.append((self._consumer, topic, key, value, headers))
        return Future(KafkaTimeoutError("no answer") if fault.at("unsure send") else None)

    def flush(self, timeout: float) -> None:
        pass

    def close(self, timeout: float) -> None:
        pass
