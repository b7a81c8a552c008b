"""What a process says and returns that found another one in its place."""

from __future__ import annotations

from session_rec.errors import UserError
from streaming.config import StreamConfig

#: Exit code of a fenced process. Started again it would throw out the one in its place, so a
#: supervisor must not (systemd: ``RestartPreventExitStatus=4``).
FENCED = 4


class Fenced(UserError):
    """Another process took our place; nothing more that we write counts."""


def fenced_instance(config: StreamConfig) -> Fenced:
    """Another process joined the group under our ``group_instance_id``."""
    return Fenced(
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
