"""All consumer groups of the broker."""

from __future__ import annotations

from collections.abc import Iterator

from kafka import errors as kafka_errors

from .group_members import JoinRequest, JoinResult
from .group_membership import GroupState
from .groups import Group
from .settings import BrokerSettings
from .topics import Topic


class GroupCoordinator:
    """Finds and makes groups; what happens inside one is the group's own."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._groups: dict[str, Group] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def find(self, group_id: str) -> Group | None:
        return self._groups.get(group_id)

    def get(self, group_id: str) -> Group:
        """Raises InvalidGroupIdError, or UnknownMemberIdError: nobody is in an unknown group."""
        _check_group_id(group_id)
        group = self._groups.get(group_id)
        if group is None:
            raise kafka_errors.UnknownMemberIdError()
        return group

    async def join(self, group_id: str, request: JoinRequest) -> JoinResult:
        """Joins, making the group where it is new; waits for the rest of the group."""
        _check_group_id(group_id)
        shortest, longest = (
            self._settings.min_session_timeout_ms,
            self._settings.max_session_timeout_ms,
        )
        if not shortest <= request.session_timeout_ms <= longest:
            raise kafka_errors.InvalidSessionTimeoutError()
        group = self.get(group_id) if request.member_id else self._get_or_create(group_id)
        return await group.join(request)

    def group_for_commit(
        self,
        group_id: str,
        member_id: str,
        instance_id: str | None,
        generation: int,
        in_transaction: bool = False,
    ) -> Group:
        """The group if the sender may commit offsets to it; raises the error it must see."""
        if in_transaction:  # elsewhere the empty name is one, for the sake of the oldest clients
            _check_group_id(group_id)
        group = self._groups.get(group_id)
        if group is None:
            if generation >= 0:
                raise kafka_errors.IllegalGenerationError()
            return self._get_or_create(group_id)
        group.check_commit(member_id, instance_id, generation, in_transaction)
        return group

    def delete(self, group_id: str) -> None:
        """Raises GroupIdNotFoundError or NonEmptyGroupError."""
        group = self._groups.get(group_id)
        if group is None:
            raise kafka_errors.GroupIdNotFoundError()
        if group.state is not GroupState.EMPTY:
            raise kafka_errors.NonEmptyGroupError()
        group.close()
        del self._groups[group_id]

    def end_transaction(self, group_id: str, producer_id: int, committed: bool) -> None:
        group = self._groups.get(group_id)
        if group is not None:
            group.offsets.end_transaction(producer_id, committed)

    def forget_topic(self, topic: Topic) -> None:
        """Drops the offsets of a deleted topic from every group."""
        partitions = [(topic.name, index) for index in range(len(topic.partitions))]
        for group in self._groups.values():
            group.offsets.forget(partitions)

    def close(self) -> None:
        for group in self._groups.values():
            group.close()

    def _get_or_create(self, group_id: str) -> Group:
        if group_id not in self._groups:
            self._groups[group_id] = Group(group_id, self._settings.initial_rebalance_delay_ms)
        return self._groups[group_id]


def _check_group_id(group_id: str) -> None:
    if not group_id:
        raise kafka_errors.InvalidGroupIdError()
