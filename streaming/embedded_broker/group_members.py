"""Members of a consumer group and what they ask for and are told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypeVar

from kafka import errors as kafka_errors


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a JoinGroup request says; timeouts in ms, protocols in the member's order."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: list[tuple[str, bytes]]
    requires_known_member_id: bool = True
    can_skip_assignment: bool = False


@dataclass(frozen=True, slots=True)
class JoinResult:
    """What a JoinGroup response says; `members` (id, instance id, metadata) for the leader only."""

    member_id: str
    error: type[kafka_errors.BrokerResponseError] = kafka_errors.NoError
    generation: int = -1
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    members: list[tuple[str, str | None, bytes]] = field(default_factory=list)
    skip_assignment: bool = False


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a SyncGroup response says."""

    error: type[kafka_errors.BrokerResponseError] = kafka_errors.NoError
    assignment: bytes = b""


_Result = TypeVar("_Result")


def _complete(future: asyncio.Future[_Result] | None, result: _Result) -> None:
    if future is not None and not future.done():
        future.set_result(result)


def already(result: _Result) -> asyncio.Future[_Result]:
    """A future that is done."""
    future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future


class Member:
    """One member; its futures are pending while it waits for the rest of the group."""

    def __init__(self, member_id: str, request: JoinRequest) -> None:
        self.id = member_id
        self.instance_id = request.instance_id
        self.client_id = request.client_id
        self.client_host = request.client_host
        self.assignment = b""
        self.session_timer: asyncio.TimerHandle | None = None
        self._join: asyncio.Future[JoinResult] | None = None
        self._sync: asyncio.Future[SyncResult] | None = None
        self.update(request)

    def update(self, request: JoinRequest) -> None:
        """Takes over protocols and timeouts of a newer request."""
        self.session_timeout_ms = request.session_timeout_ms
        self.rebalance_timeout_ms = request.rebalance_timeout_ms
        self.protocols = request.protocols

    def metadata(self, protocol: str | None) -> bytes:
        """Subscription that the member gave for `protocol`; empty where it gave none."""
        return next((data for name, data in self.protocols if name == protocol), b"")

    def vote(self, candidates: set[str]) -> str:
        """The first of its protocols that every member supports."""
        return next(name for name, _ in self.protocols if name in candidates)

    @property
    def is_joining(self) -> bool:
        return self._join is not None

    @property
    def is_syncing(self) -> bool:
        return self._sync is not None

    def wait_for_join(self) -> asyncio.Future[JoinResult]:
        # A request sent again (the first one's connection broke) takes the place of the first.
        _complete(self._join, JoinResult(self.id, kafka_errors.RebalanceInProgressError))
        self._join = asyncio.get_running_loop().create_future()
        return self._join

    def wait_for_sync(self) -> asyncio.Future[SyncResult]:
        _complete(self._sync, SyncResult(kafka_errors.RebalanceInProgressError))
        self._sync = asyncio.get_running_loop().create_future()
        return self._sync

    def finish_join(self, result: JoinResult) -> None:
        future, self._join = self._join, None
        _complete(future, result)

    def finish_sync(self, result: SyncResult) -> None:
        future, self._sync = self._sync, None
        _complete(future, result)

    def dismiss(self, error: type[kafka_errors.BrokerResponseError]) -> None:
        """Ends the membership: whatever the member waits for fails with `error`."""
        if self.session_timer is not None:
            self.session_timer.cancel()
        self.finish_join(JoinResult(self.id, error))
        self.finish_sync(SyncResult(error))
