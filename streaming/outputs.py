"""What the daemon wants produced, in a form that can be sent again."""

from __future__ import annotations

from typing import NamedTuple

Headers = list[tuple[str, bytes | None]]


class Output(NamedTuple):
    """One record to produce, kept until the offsets behind it are committed.

    Attributes:
        topic: where to.
        key: record key, or None.
        value: record value.
        headers: record headers.
        source: ``topic-partition`` of the record that it answers.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    source: str = ""
