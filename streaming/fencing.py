"""What a process says and returns that found another one in its place."""

from __future__ import annotations

import time

from kafka.errors import KafkaError

from session_rec.errors import UserError
from streaming.config import StreamConfig
from streaming.kafka_clients import make_admin

#: Exit code of a fenced process. Started again it would throw out the one in its place, so a
#: supervisor must not (systemd: ``RestartPreventExitStatus=4``).
FENCED = 4

_LOOK_S = 0.5  #: between two looks at the group
_MARGIN_S = 2.0  #: that the coordinator may be late to give up a dead member


class Fenced(UserError):
    """Another process took our place; nothing more that we write counts."""


class FencedInstance(Fenced):
    """The group knows another member under our ``group_instance_id``."""


def fenced_instance(config: StreamConfig) -> FencedInstance:
    """Another process joined the group under our ``group_instance_id``, or seems to have."""
    return FencedInstance(
        f"another process joined group {config.group_id!r} as {config.group_instance_id!r} and "
        "took our place: give each process its own group_instance_id"
    )


def fenced_producer(config: StreamConfig) -> Fenced:
    """Another process began transactions under our transactional id."""
    return Fenced(
        f"another process writes as transactional_id {config.transaction_name!r} and took our "
        "place; what we had not committed is aborted: give each process its own "
        "group_instance_id or transactional_id"
    )


def place_is_taken(config: StreamConfig) -> bool:
    """Whether a living process is in the group under our ``group_instance_id``.

    A broker that was killed may come back with our predecessor in our place: it answers a join
    before it has written it down. A living one sends heartbeats; a dead one is gone once its
    session has timed out, which is what this waits for.
    """
    patience = config.kafka.session_timeout_s + _MARGIN_S
    give_up = time.monotonic() + config.delivery_timeout_s + patience
    until = time.monotonic() + patience
    while time.monotonic() < min(until, give_up):
        time.sleep(_LOOK_S)
        try:
            admin = make_admin(config.kafka)
            try:
                group = admin.describe_groups([config.group_id])[config.group_id]
            finally:
                admin.close()
        except (KafkaError, UserError):
            group = {"error": "no answer"}
        if group["error"] is not None:
            # A session begins anew where a coordinator does.
            until = time.monotonic() + patience
        elif all(m["group_instance_id"] != config.group_instance_id for m in group["members"]):
            return False
    return True
