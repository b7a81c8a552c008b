"""Dead letters fit their topic, and tell what was cut."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.dead_letters import DeadLetters
from streaming.outputs import Output


def record(
    value: bytes | None, key: bytes | None = b"s1", headers: list[tuple[str, bytes]] | None = None
) -> SimpleNamespace:
    return SimpleNamespace(
        topic="events", partition=3, offset=42, timestamp=7, key=key, value=value, headers=headers
    )


def size(letter: Output) -> int:
    """Bytes of the record: varints and names included, generously."""
    return (
        sum(len(n.encode()) + len(v) + 10 for n, v in letter.headers)
        + len(letter.key or b"")
        + len(letter.value or b"")
    )


def test_what_fits_is_kept_as_it_came() -> None:
    letter = DeadLetters("dead", 10_000).make(
        record(b"\x00\xff", None, [("a", b"1"), ("a", b"2")]), "not an event"
    )
    assert (letter.topic, letter.key, letter.value) == ("dead", None, b"\x00\xff")
    assert letter.headers == [
        ("session-rec.reason", b"not an event"),
        ("session-rec.topic", b"events"),
        ("session-rec.partition", b"3"),
        ("session-rec.offset", b"42"),
        ("session-rec.timestamp", b"7"),
        ("a", b"1"),
        ("a", b"2"),
    ]


@given(
    st.integers(0, 30_000),
    st.one_of(st.none(), st.integers(0, 8_000)),
    st.integers(0, 8_000),
    st.integers(2_000, 20_000),
    st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_a_letter_never_exceeds_its_topic(
    value: int, key: int | None, header: int, limit: int, shrinks: int
) -> None:
    raw = b"v" * value
    letters = DeadLetters("dead", limit)
    letter: Output | None = letters.make(
        record(raw, None if key is None else b"k" * key, [("own", b"h" * header)]), "r" * 5000
    )
    for _ in range(shrinks):
        assert letter is not None
        limit = min(limit, size(letter) + 1024) // 2
        letter = letters.shrink(letter)
        if letter is None:
            return
    assert letter is not None and size(letter) <= max(limit, 2_500)
    headers = dict(letter.headers)
    assert headers["session-rec.offset"] == b"42"
    if letter.value != raw:
        assert raw.startswith(letter.value or b"")
        assert headers["session-rec.truncated"] == str(value).encode()
        assert headers["session-rec.sha256"] == hashlib.sha256(raw).hexdigest().encode()
    if key is not None and letter.key != b"k" * key:
        assert headers["session-rec.key-truncated"] == str(key).encode()


def test_a_null_stays_null_unless_there_is_nothing_else_to_send() -> None:
    letters = DeadLetters("dead", 10_000)
    assert letters.make(record(None), "why").value is None
    assert letters.make(record(b"v", None), "why").key is None
    neither = letters.make(record(None, None), "null key")
    assert (neither.key, neither.value) == (None, b"")
    assert dict(neither.headers)["session-rec.null-value"] == b"true"
    assert "session-rec.null-value" not in dict(letters.make(record(b"", None), "why").headers)


def test_what_an_earlier_letter_said_does_not_pass_for_this_one() -> None:
    old = [("session-rec.reason", b"old"), ("session-rec.truncated", b"9"), ("a", b"1")]
    letter = DeadLetters("dead", 5_000).make(
        record(b"v" * 6_000, headers=[*old, ("session-rec.redrives", b"2")]), "new"
    )
    headers = dict(letter.headers)
    assert len(headers) == len(letter.headers)
    assert headers["session-rec.reason"] == b"new"
    assert headers["session-rec.truncated"] == b"6000"
    assert (headers["a"], headers["session-rec.redrives"]) == (b"1", b"2")
