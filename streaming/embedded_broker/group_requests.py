"""Consumer groups: FindCoordinator, Join, Sync, Heartbeat, Leave, Describe, List, Delete."""

from __future__ import annotations

from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.admin import DeleteGroupsResponse, DescribeGroupsResponse, ListGroupsResponse
from kafka.protocol.consumer import (
    HeartbeatResponse,
    JoinGroupResponse,
    LeaveGroupResponse,
    SyncGroupResponse,
)
from kafka.protocol.metadata import FindCoordinatorResponse

from .group_members import JoinRequest, SyncResult
from .group_membership import GroupState
from .groups import Group
from .settings import HOST, NODE_ID
from .state import BrokerState, Caller

_GROUP, _TRANSACTION = 0, 1

_Described = DescribeGroupsResponse.DescribedGroup


async def find_coordinator(state: BrokerState, request: Any, caller: Caller) -> Any:
    """This one node coordinates everything."""
    error = 0
    if request.key_type not in (_GROUP, _TRANSACTION):
        error = kafka_errors.InvalidRequestError.errno
    where = {"node_id": NODE_ID, "host": HOST, "port": state.port, "error_code": error}
    if caller.version < 4:
        return FindCoordinatorResponse(**where)
    return FindCoordinatorResponse(
        coordinators=[
            FindCoordinatorResponse.Coordinator(key=key, **where)
            for key in request.coordinator_keys
        ]
    )


async def join_group(state: BrokerState, request: Any, caller: Caller) -> Any:
    rebalance_timeout_ms = request.rebalance_timeout_ms
    if caller.version == 0:
        rebalance_timeout_ms = request.session_timeout_ms
    # Nullable only from version 7 on.
    no_protocol = None if caller.version >= 7 else ""
    try:
        result = await state.groups.join(
            request.group_id,
            JoinRequest(
                member_id=request.member_id,
                instance_id=request.group_instance_id,
                client_id=caller.client_id,
                client_host=caller.host,
                session_timeout_ms=request.session_timeout_ms,
                rebalance_timeout_ms=rebalance_timeout_ms,
                protocol_type=request.protocol_type,
                protocols=[(each.name, each.metadata) for each in request.protocols],
                requires_known_member_id=caller.version >= 4,
                can_skip_assignment=caller.version >= 9,
            ),
        )
    except kafka_errors.BrokerResponseError as error:
        return JoinGroupResponse(
            error_code=error.errno,
            generation_id=-1,
            protocol_name=no_protocol,
            leader="",
            member_id=request.member_id,
            members=[],
        )
    return JoinGroupResponse(
        error_code=result.error.errno,
        generation_id=result.generation,
        protocol_type=result.protocol_type,
        protocol_name=no_protocol if result.protocol is None else result.protocol,
        leader=result.leader,
        skip_assignment=result.skip_assignment,
        member_id=result.member_id,
        members=[
            JoinGroupResponse.JoinGroupResponseMember(
                member_id=member_id, group_instance_id=instance_id, metadata=metadata
            )
            for member_id, instance_id, metadata in result.members
        ],
    )


async def sync_group(state: BrokerState, request: Any, caller: Caller) -> Any:
    group = state.groups.find(request.group_id)
    try:
        group = state.groups.get(request.group_id)
        result = await group.sync(
            request.member_id,
            request.group_instance_id,
            request.generation_id,
            {each.member_id: each.assignment for each in request.assignments},
            (request.protocol_type, request.protocol_name),
        )
    except kafka_errors.BrokerResponseError as error:
        result = SyncResult(type(error))
    return SyncGroupResponse(
        error_code=result.error.errno,
        protocol_type=None if group is None else group.protocol_type,
        protocol_name=None if group is None else group.protocol,
        assignment=result.assignment,
    )


async def heartbeat(state: BrokerState, request: Any, caller: Caller) -> Any:
    code = 0
    try:
        state.groups.get(request.group_id).heartbeat(
            request.member_id, request.group_instance_id, request.generation_id
        )
    except kafka_errors.BrokerResponseError as error:
        code = error.errno
    return HeartbeatResponse(error_code=code)


async def leave_group(state: BrokerState, request: Any, caller: Caller) -> Any:
    try:
        group = state.groups.get(request.group_id)
        if caller.version < 3:
            group.leave(request.member_id, None)
            return LeaveGroupResponse(error_code=0)
    except kafka_errors.BrokerResponseError as error:
        return LeaveGroupResponse(error_code=error.errno, members=[])
    members = []
    for each in request.members:
        code = 0
        try:
            group.leave(each.member_id, each.group_instance_id)
        except kafka_errors.BrokerResponseError as error:
            code = error.errno
        members.append(
            LeaveGroupResponse.MemberResponse(
                member_id=each.member_id, group_instance_id=each.group_instance_id, error_code=code
            )
        )
    return LeaveGroupResponse(error_code=0, members=members)


async def describe_groups(state: BrokerState, request: Any, caller: Caller) -> Any:
    groups = []
    for group_id in request.groups:
        group = state.groups.find(group_id)
        if group is not None:
            groups.append(_describe(group))
            continue
        # Up to version 5 an unknown group is a dead one and no error.
        code = kafka_errors.GroupIdNotFoundError.errno if caller.version >= 6 else 0
        groups.append(
            _Described(
                group_id=group_id,
                error_code=code,
                error_message=f"Group {group_id} not found." if code else None,
                group_state=GroupState.DEAD.value,
                protocol_type="",
                protocol_data="",
                members=[],
            )
        )
    return DescribeGroupsResponse(groups=groups)


def _describe(group: Group) -> Any:
    stable = group.state is GroupState.STABLE
    return _Described(
        group_id=group.id,
        error_code=0,
        group_state=group.state.value,
        protocol_type=group.protocol_type or "",
        protocol_data=(group.protocol or "") if stable else "",
        members=[
            _Described.DescribedGroupMember(
                member_id=member.id,
                group_instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=f"/{member.client_host}",
                member_metadata=member.metadata(group.protocol) if stable else b"",
                member_assignment=member.assignment if stable else b"",
            )
            for member in group.members.values()
        ],
    )


async def list_groups(state: BrokerState, request: Any, caller: Caller) -> Any:
    states = {name.lower() for name in request.states_filter or ()}
    types = {name.lower() for name in request.types_filter or ()}
    return ListGroupsResponse(
        error_code=0,
        groups=[
            ListGroupsResponse.ListedGroup(
                group_id=group.id,
                protocol_type=group.protocol_type or "",
                group_state=group.state.value,
                group_type="classic",
            )
            for group in state.groups
            if (not states or group.state.value.lower() in states)
            and (not types or "classic" in types)
        ],
    )


async def delete_groups(state: BrokerState, request: Any, caller: Caller) -> Any:
    results = []
    for group_id in request.groups_names:
        code = 0
        try:
            state.groups.delete(group_id)
        except kafka_errors.BrokerResponseError as error:
            code = error.errno
        results.append(
            DeleteGroupsResponse.DeletableGroupResult(group_id=group_id, error_code=code)
        )
    return DeleteGroupsResponse(results=results)
