"""One consumer group as its clients see it: the requests of members, and committed offsets."""

from __future__ import annotations

import asyncio

from kafka import errors as kafka_errors

from .group_members import JoinRequest, JoinResult, Member, SyncResult, already
from .group_membership import GroupMembership, GroupState
from .group_offsets import GroupOffsets


class Group(GroupMembership):
    """Answers what the classic coordinator of Apache Kafka 4.3 answers in the same state."""

    def __init__(self, group_id: str, initial_rebalance_delay_ms: int) -> None:
        super().__init__(initial_rebalance_delay_ms)
        self.id = group_id
        self.offsets = GroupOffsets()

    def join(self, request: JoinRequest) -> asyncio.Future[JoinResult]:
        """A future that is done once the group has a generation with this member.

        Raises the kafka.errors class whose code the member must see.
        """
        if not self._supports(request):
            raise kafka_errors.InconsistentGroupProtocolError()
        if not request.member_id:
            return self._join_unknown(request)
        if request.member_id in self._expected:
            return self._add_and_rebalance(request.member_id, request)
        member = self.member(request.member_id, request.instance_id)
        if self.state in (GroupState.EMPTY, GroupState.DEAD):
            raise kafka_errors.UnknownMemberIdError()
        same = member.protocols == request.protocols
        if (self.state is GroupState.COMPLETING and same) or (
            self.state is GroupState.STABLE and same and member.id != self.leader
        ):
            # It did not get the answer to its first request, or nothing has changed for it.
            return already(self._joined(member))
        member.update(request)
        return self._rejoin(member)

    def sync(
        self,
        member_id: str,
        instance_id: str | None,
        generation: int,
        assignments: dict[str, bytes],
        protocol: tuple[str | None, str | None] = (None, None),
    ) -> asyncio.Future[SyncResult]:
        """A future that is done once the leader has sent the assignments.

        `protocol` is the (type, name) that the member believes in; None where it does not say.
        """
        member = self._current(member_id, instance_id, generation)
        for believed, chosen in zip(protocol, (self.protocol_type, self.protocol), strict=True):
            if believed is not None and believed != chosen:
                raise kafka_errors.InconsistentGroupProtocolError()
        if self.state is GroupState.EMPTY:
            raise kafka_errors.UnknownMemberIdError()
        if self.state is GroupState.PREPARING:
            raise kafka_errors.RebalanceInProgressError()
        self._unsynced.discard(member_id)
        if self.state is GroupState.STABLE:
            self._touch(member)
            return already(SyncResult(assignment=member.assignment))
        future = member.wait_for_sync()
        if member_id == self.leader:
            self.state = GroupState.STABLE
            for other in self.members.values():
                other.assignment = assignments.get(other.id, b"")
                if other.is_syncing:
                    other.finish_sync(SyncResult(assignment=other.assignment))
                    self._touch(other)
        return future

    def heartbeat(self, member_id: str, instance_id: str | None, generation: int) -> None:
        """Raises RebalanceInProgressError where the member has to join again."""
        member = self._current(member_id, instance_id, generation)
        if self.state is GroupState.EMPTY:
            raise kafka_errors.UnknownMemberIdError()
        self._touch(member)
        if self.state is GroupState.PREPARING:
            raise kafka_errors.RebalanceInProgressError()

    def leave(self, member_id: str, instance_id: str | None) -> None:
        """Removes a member; an empty member id names a static one by its instance id."""
        if not member_id and instance_id is not None:
            if instance_id not in self._static:
                raise kafka_errors.UnknownMemberIdError()
            member_id = self._static[instance_id]
        if member_id in self._expected:
            self._expected.pop(member_id).cancel()
            self._complete_join_if_all_there()
            return
        self._remove_and_rebalance(self.member(member_id, instance_id))

    def check_commit(
        self, member_id: str, instance_id: str | None, generation: int, in_transaction: bool
    ) -> None:
        """Whether this sender may commit offsets now; raises the error it must see."""
        if generation < 0 and self.state is GroupState.EMPTY:
            return  # an admin client, or a consumer that assigns its own partitions
        if generation >= 0 or member_id or instance_id is not None:
            member = self._current(member_id, instance_id, generation)
            if not in_transaction and self.state is GroupState.COMPLETING:
                raise kafka_errors.RebalanceInProgressError()
            self._touch(member)
        elif not in_transaction and self.state is not GroupState.EMPTY:
            raise kafka_errors.UnknownMemberIdError()

    def _current(self, member_id: str, instance_id: str | None, generation: int) -> Member:
        member = self.member(member_id, instance_id)
        if generation != self.generation:
            raise kafka_errors.IllegalGenerationError()
        return member
