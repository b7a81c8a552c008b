"""Messages that cannot be used, kept with their raw bytes and the reason."""

from __future__ import annotations

import hashlib
from typing import Any

from streaming.outputs import Headers, Output

#: Our headers start with this; the message's own headers come after them, unchanged.
PREFIX = "session-rec."
#: On a message that was sent back: how often it was. The one header of ours that is kept.
REDRIVES = PREFIX + "redrives"

#: Bytes that a record batch needs around one record, with our headers, at most.
_OVERHEAD = 1024
_LEAST = 256
_MAX_REASON = 512


class DeadLetters:
    """Makes dead letters for a topic.

    Headers: ``reason``, ``topic``, ``partition``, ``offset``, ``timestamp``; where the value had to
    be cut also ``truncated`` (its full length in bytes) and ``sha256`` (hex, of the full value).
    A null key or value stays null; of a message that has neither, the letter's value is empty and
    the header ``null-value`` says so, because the client sends no record without both.

    Attributes:
        max_bytes: the largest record that the topic takes, as far as was known at start.

    Args:
        topic: the dead-letter topic.
        max_bytes: the largest record it takes.
    """

    def __init__(self, topic: str, max_bytes: int) -> None:
        self._topic = topic
        self.max_bytes = max_bytes
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
        # What an earlier letter said of the message would pass for what this one says.
        theirs: Headers = [
            (name, value)
            for name, value in record.headers or ()
            if name == REDRIVES or not name.startswith(PREFIX)
        ]
        source = f"{record.topic}-{record.partition}"
        value = record.value
        if value is None and record.key is None:
            value = b""
            _note(ours, "null-value", b"true")
        return self._fit(Output(self._topic, record.key, value, ours + theirs, source))

    def shrink(self, letter: Output) -> Output | None:
        """A smaller letter after the topic refused ``letter``; None if it cannot be smaller."""
        if self._room <= _LEAST:
            return None
        self._room = max(min(self._room, _size(letter)) // 2, _LEAST)
        return self._fit(letter)

    def _fit(self, letter: Output) -> Output:
        if _size(letter) <= self._room:
            return letter
        topic, key, value, headers = letter.topic, letter.key, letter.value, list(letter.headers)
        if _size(Output(topic, None, None, headers)) > self._room // 2:
            headers = [h for h in headers if h[0].startswith(PREFIX)]
            _note(headers, "headers-dropped", b"true")
        if key and len(key) > self._room // 4:
            _note(headers, "key-truncated", str(len(key)).encode())
            _note(headers, "key-sha256", hashlib.sha256(key).hexdigest().encode())
            key = key[: self._room // 4]
        if value and _size(Output(topic, key, value, headers)) > self._room:
            _note(headers, "truncated", str(len(value)).encode())
            _note(headers, "sha256", hashlib.sha256(value).hexdigest().encode())
            value = value[: max(self._room - _size(Output(topic, key, None, headers)), 0)]
        return Output(topic, key, value, headers, letter.source)


def _note(headers: Headers, name: str, value: bytes) -> None:
    """Adds a header of ours; a letter that is cut once more keeps what the first cut said."""
    if not any(h == PREFIX + name for h, _ in headers):
        headers.append((PREFIX + name, value))


def _size(output: Output) -> int:
    return (
        len(output.key or b"")
        + len(output.value or b"")
        + sum(len(name.encode()) + len(value or b"") + 10 for name, value in output.headers)
    )
