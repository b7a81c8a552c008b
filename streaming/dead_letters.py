"""Messages that cannot be used, kept with their raw bytes and the reason."""

from __future__ import annotations

import hashlib
from typing import Any

from streaming.outputs import Headers, Output

#: Our headers start with this; the message's own headers come after them, unchanged.
PREFIX = "session-rec."

#: Bytes that a record batch needs around one record, with our headers, at most.
_OVERHEAD = 1024
_LEAST = 256
_MAX_REASON = 512


class DeadLetters:
    """Makes dead letters for a topic.

    Headers: ``reason``, ``topic``, ``partition``, ``offset``, ``timestamp``; where the value had to
    be cut also ``truncated`` (its full length in bytes) and ``sha256`` (hex, of the full value).
    A null key or value stays null.

    Args:
        topic: the dead-letter topic.
        max_bytes: the largest record it takes.
    """

    def __init__(self, topic: str, max_bytes: int) -> None:
        self._topic = topic
        self._room = max(max_bytes - _OVERHEAD, _LEAST)

    def make(self, record: Any, reason: str) -> Output:
        """The dead letter for a Kafka record."""
        ours: Headers = [
            (PREFIX + "reason", reason.encode()[:_MAX_REASON]),
            (PREFIX + "topic", record.topic.encode()),
            (PREFIX + "partition", str(record.partition).encode()),
            (PREFIX + "offset", str(record.offset).encode()),
            (PREFIX + "timestamp", str(record.timestamp).encode()),
        ]
        theirs: Headers = [(name, value or b"") for name, value in record.headers or ()]
        return self._fit(Output(self._topic, record.key, record.value, ours + theirs))

    def shrink(self, letter: Output) -> Output | None:
        """A smaller letter after the topic refused ``letter``; None if it cannot be smaller."""
        if self._room <= _LEAST:
            return None
        self._room = max(min(self._room, _size(letter)) // 2, _LEAST)
        return self._fit(letter)

    def _fit(self, letter: Output) -> Output:
        if _size(letter) <= self._room:
            return letter
        key, value, headers = letter.key, letter.value, list(letter.headers)
        if value and not _has(headers, "sha256"):
            headers += [
                (PREFIX + "truncated", str(len(value)).encode()),
                (PREFIX + "sha256", hashlib.sha256(value).hexdigest().encode()),
            ]
        if _size(Output("", None, None, headers)) > self._room // 2:
            headers = [h for h in headers if h[0].startswith(PREFIX)]
            headers.append((PREFIX + "headers-dropped", b"true"))
        if key and len(key) > self._room // 4:
            headers += [
                (PREFIX + "key-truncated", str(len(key)).encode()),
                (PREFIX + "key-sha256", hashlib.sha256(key).hexdigest().encode()),
            ]
            key = key[: self._room // 4]
        if value:
            rest = self._room - _size(Output("", key, None, headers))
            value = value[: max(rest, 0)]
        return Output(letter.topic, key, value, headers)


def _has(headers: Headers, name: str) -> bool:
    return any(h == PREFIX + name for h, _ in headers)


def _size(output: Output) -> int:
    return (
        len(output.key or b"")
        + len(output.value or b"")
        + sum(len(name.encode()) + len(value) + 10 for name, value in output.headers)
    )
