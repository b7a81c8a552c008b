"""What single requests of the Kafka protocol have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.admin import DescribeGroupsRequest, DescribeGroupsResponse
from kafka.protocol.metadata import FindCoordinatorRequest, FindCoordinatorResponse
from protocol_client import ProtocolClient

OK = 0

#: A real broker says these while it makes itself ready for a new group or transactional id.
_SOON = {
    kafka_errors.CoordinatorNotAvailableError.errno,
    kafka_errors.CoordinatorLoadInProgressError.errno,
    kafka_errors.NotCoordinatorError.errno,
    kafka_errors.ConcurrentTransactionsError.errno,
}


def settled(ask: Callable[[], Any], code: Callable[[Any], int]) -> Any:
    """The answer, asked for again as long as the broker is not ready to give one."""
    deadline = time.monotonic() + 20
    while code(answer := ask()) in _SOON and time.monotonic() < deadline:
        time.sleep(0.02)
    return answer


def coordinated(client: ProtocolClient, key: str, key_type: int = 0) -> None:
    """Waits until the broker works as the coordinator of a group (0) or transactional id (1)."""
    request = FindCoordinatorRequest(key=key, key_type=key_type)
    settled(lambda: client.call(request, FindCoordinatorResponse, 2), lambda a: a.error_code)
    if key_type == 0:
        # Named a moment ago, it may still have to load the group's partition of offsets.
        describe = DescribeGroupsRequest(groups=[key], include_authorized_operations=False)
        settled(
            lambda: client.call(describe, DescribeGroupsResponse, 5),
            lambda a: a.groups[0].error_code,
        )
