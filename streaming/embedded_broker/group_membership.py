"""Who is in a consumer group: joining, rebalancing, expiring.

The states and what happens in each of them are those of `ClassicGroup` and of the classic part of
`GroupMetadataManager` in Apache Kafka 4.3.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from enum import Enum

from kafka import errors as kafka_errors

from .group_members import JoinRequest, JoinResult, Member, SyncResult, already


class GroupState(Enum):
    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


class GroupMembership:
    """Members, leader, generation and protocol of one group id."""

    def __init__(self, initial_rebalance_delay_ms: int) -> None:
        self.state = GroupState.EMPTY
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.leader: str | None = None
        self.members: dict[str, Member] = {}
        self._initial_rebalance_delay_ms = initial_rebalance_delay_ms
        self._static: dict[str, str] = {}  # group.instance.id -> member id
        # Ids handed out by MEMBER_ID_REQUIRED that have not come back yet, with their timers.
        self._expected: dict[str, asyncio.TimerHandle] = {}
        self._unsynced: set[str] = set()
        self._rebalance_timer: asyncio.TimerHandle | None = None

    def member(self, member_id: str, instance_id: str | None) -> Member:
        """Raises UnknownMemberIdError, or FencedInstanceIdError for a replaced static member."""
        if instance_id is not None:
            if instance_id not in self._static:
                raise kafka_errors.UnknownMemberIdError()
            if self._static[instance_id] != member_id:
                raise kafka_errors.FencedInstanceIdError()
        if member_id not in self.members:
            raise kafka_errors.UnknownMemberIdError()
        return self.members[member_id]

    def close(self) -> None:
        """Stops every timer and fails every waiting member."""
        self.state = GroupState.DEAD
        for member in self.members.values():
            member.dismiss(kafka_errors.CoordinatorNotAvailableError)
        for timer in (*self._expected.values(), self._rebalance_timer):
            if timer is not None:
                timer.cancel()

    # -- joining -----------------------------------------------------------------------------

    def _supports(self, request: JoinRequest) -> bool:
        if not request.protocol_type or not request.protocols:
            return False
        if not self.members:
            return True
        return request.protocol_type == self.protocol_type and any(
            name in self._candidates() for name, _ in request.protocols
        )

    def _candidates(self) -> set[str]:
        votes = Counter(name for m in self.members.values() for name, _ in m.protocols)
        return {name for name, count in votes.items() if count == len(self.members)}

    def _select_protocol(self) -> str:
        candidates = self._candidates()
        votes = Counter(member.vote(candidates) for member in self.members.values())
        return votes.most_common(1)[0][0]

    def _join_unknown(self, request: JoinRequest) -> asyncio.Future[JoinResult]:
        new_id = f"{request.instance_id or request.client_id}-{uuid.uuid4()}"
        if request.instance_id is not None:
            if request.instance_id in self._static:
                return self._replace_static(request.instance_id, new_id, request)
            return self._add_and_rebalance(new_id, request)
        if request.requires_known_member_id:
            self._expected[new_id] = asyncio.get_running_loop().call_later(
                request.session_timeout_ms / 1000, self._forget_expected, new_id
            )
            return already(JoinResult(new_id, kafka_errors.MemberIdRequiredError))
        return self._add_and_rebalance(new_id, request)

    def _add_and_rebalance(
        self, member_id: str, request: JoinRequest
    ) -> asyncio.Future[JoinResult]:
        if member_id in self._expected:
            self._expected.pop(member_id).cancel()
        member = Member(member_id, request)
        if not self.members:
            self.protocol_type = request.protocol_type
        self.members[member_id] = member
        if request.instance_id is not None:
            self._static[request.instance_id] = member_id
        if self.leader is None:
            self.leader = member_id
        return self._rejoin(member)

    def _rejoin(self, member: Member) -> asyncio.Future[JoinResult]:
        future = member.wait_for_join()
        self._prepare_rebalance()
        return future

    def _replace_static(
        self, instance_id: str, new_id: str, request: JoinRequest
    ) -> asyncio.Future[JoinResult]:
        """A static member came back under a new member id: in a stable group nobody notices."""
        old = self.members.pop(self._static[instance_id])
        member = Member(new_id, request)
        member.assignment = old.assignment
        self.members[new_id] = member
        self._static[instance_id] = new_id
        old_leader = self.leader
        if self.leader == old.id:
            self.leader = new_id
        if old.id in self._unsynced:
            self._unsynced.remove(old.id)
            self._unsynced.add(new_id)
        old.dismiss(kafka_errors.FencedInstanceIdError)
        self._touch(member)
        if self.state is GroupState.STABLE and self._select_protocol() == self.protocol:
            is_leader = self.leader == new_id
            if request.can_skip_assignment:
                result = self._joined(member, skip_assignment=is_leader)
            else:
                # An old client that heard that it leads would assign anew: it hears the old id.
                result = JoinResult(
                    new_id,
                    generation=self.generation,
                    protocol_type=self.protocol_type,
                    protocol=self.protocol,
                    leader=old_leader or "",
                )
            return already(result)
        return self._rejoin(member)

    def _forget_expected(self, member_id: str) -> None:
        self._expected.pop(member_id, None)
        self._complete_join_if_all_there()

    # -- rebalancing -------------------------------------------------------------------------

    def _prepare_rebalance(self) -> None:
        if self.state is GroupState.PREPARING:
            self._complete_join_if_all_there()
            return
        if self.state is GroupState.COMPLETING:
            for member in self.members.values():
                member.assignment = b""
                member.finish_sync(SyncResult(kafka_errors.RebalanceInProgressError))
        self._unsynced.clear()
        first = self.state is GroupState.EMPTY
        self.state = GroupState.PREPARING
        if first and self._initial_rebalance_delay_ms > 0:
            self._start_timer(self._initial_rebalance_delay_ms, self._complete_join)
            return
        timeout_ms = max((m.rebalance_timeout_ms for m in self.members.values()), default=0)
        self._start_timer(timeout_ms, self._complete_join)
        self._complete_join_if_all_there()

    def _complete_join_if_all_there(self) -> None:
        if self.state is not GroupState.PREPARING or self._expected:
            return
        if all(member.is_joining for member in self.members.values()):
            self._complete_join()

    def _complete_join(self) -> None:
        """Begins the next generation with those who joined in time."""
        for member in list(self.members.values()):
            if not member.is_joining and member.instance_id is None:
                self._remove(member)
        if self.members:
            joined = [member for member in self.members.values() if member.is_joining]
            if not joined:  # only static members that are away: their session timeouts decide
                timeout_ms = max(m.rebalance_timeout_ms for m in self.members.values())
                self._start_timer(timeout_ms, self._complete_join)
                return
            if self.leader not in {member.id for member in joined}:
                self.leader = joined[0].id
        self._stop_timer()
        self.generation += 1
        if not self.members:
            self.state = GroupState.EMPTY
            self.protocol = None
            return
        self.protocol = self._select_protocol()
        self.state = GroupState.COMPLETING
        self._unsynced = set(self.members)
        for member in self.members.values():
            if member.is_joining:
                member.finish_join(self._joined(member))
                self._touch(member)
        timeout_ms = max(m.rebalance_timeout_ms for m in self.members.values())
        self._start_timer(timeout_ms, self._expire_unsynced)

    def _joined(self, member: Member, skip_assignment: bool = False) -> JoinResult:
        members = []
        if member.id == self.leader:
            members = [
                (other.id, other.instance_id, other.metadata(self.protocol))
                for other in self.members.values()
            ]
        return JoinResult(
            member.id,
            generation=self.generation,
            protocol_type=self.protocol_type,
            protocol=self.protocol,
            leader=self.leader or "",
            members=members,
            skip_assignment=skip_assignment,
        )

    def _expire_unsynced(self) -> None:
        if self.state not in (GroupState.COMPLETING, GroupState.STABLE) or not self._unsynced:
            return
        for member_id in list(self._unsynced):
            if member_id in self.members:
                self._remove(self.members[member_id])
        self._prepare_rebalance()

    # -- members going -----------------------------------------------------------------------

    def _touch(self, member: Member) -> None:
        """Starts the member's session timeout again."""
        if member.session_timer is not None:
            member.session_timer.cancel()
        member.session_timer = asyncio.get_running_loop().call_later(
            member.session_timeout_ms / 1000, self._expire, member
        )

    def _expire(self, member: Member) -> None:
        if self.members.get(member.id) is not member:
            return
        if member.is_joining or member.is_syncing:
            self._touch(member)  # it waits for the others, it is not silent
        else:
            self._remove_and_rebalance(member)

    def _remove(self, member: Member) -> None:
        del self.members[member.id]
        if member.instance_id is not None:
            self._static.pop(member.instance_id, None)
        self._unsynced.discard(member.id)
        member.dismiss(kafka_errors.UnknownMemberIdError)
        if self.leader == member.id:
            self.leader = next(iter(self.members), None)

    def _remove_and_rebalance(self, member: Member) -> None:
        self._remove(member)
        self._prepare_rebalance()

    def _start_timer(self, after_ms: int, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._rebalance_timer = asyncio.get_running_loop().call_later(after_ms / 1000, action)

    def _stop_timer(self) -> None:
        if self._rebalance_timer is not None:
            self._rebalance_timer.cancel()
            self._rebalance_timer = None
