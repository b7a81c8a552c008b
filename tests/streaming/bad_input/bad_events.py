"""Events as no producer should send them: generated, seeded, each with what must become of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from event_oracle import Undecided, expected

START_MS = 1_700_000_000_000
SKEW_MS = 10_000  # what the daemon of these tests allows


class Message(NamedTuple):
    """A record to produce; `kind` is the generator that made it."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    kind: str


def bad_events(seed: int, count: int) -> Iterator[Message]:
    """`count` messages; a third of them are good, so that the state is never empty."""
    rng = random.Random(seed)
    now = START_MS
    makers = list(_MAKERS.items())
    for _ in range(count):
        now += rng.choice((0, 0, 1, 200, 3_000))
        if rng.random() < 0.33:
            yield _message(rng, now, "good", _good(rng, now))
            continue
        kind, make = rng.choice(makers)
        yield _message(rng, now, kind, make(rng, now))


def _message(rng: random.Random, now: int, kind: str, value: bytes | None) -> Message:
    key: bytes | None = b"s%d" % rng.randrange(200)
    fate = rng.random()
    if fate < 0.02:
        key = None
    elif fate < 0.04:
        key = rng.randbytes(rng.randrange(40))
    return Message(key, value, now, kind)


def fate(message: Message) -> str:
    """`tombstone`, `dead`, `alive` or `either`, where JSON parsers may differ."""
    if message.value is None and message.key is not None:
        return "tombstone"
    if message.key is None or message.value is None:
        return "dead"
    try:
        event = expected(message.value)
    except Undecided:
        return "either"
    return "dead" if event is None or event.ts > message.timestamp + SKEW_MS else "alive"


def _fields(rng: random.Random, now: int) -> dict[str, object]:
    found: dict[str, object] = {
        "session_id": f"s{rng.randrange(200)}",
        "item_id": f"i{rng.randrange(14):02d}",
        "ts": now - rng.choice((0, 0, 0, 500, 15_000)),
    }
    if rng.random() < 0.3:
        found |= {"type": rng.choice(("cart", "purchase", "zoom")), "seq": rng.randrange(5)}
    if rng.random() < 0.2:
        found["features"] = {"device": "phone", "país": "é"}
    return found


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _good(rng: random.Random, now: int) -> bytes:
    return _json(_fields(rng, now))


def _malformed(rng: random.Random, now: int) -> bytes:
    data = bytearray(_good(rng, now))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(3):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at]
            case _:
                data.insert(at, rng.choice(b'{}[]",:\\0129eE.-tfn \x00'))
    return bytes(data)


def _truncated(rng: random.Random, now: int) -> bytes:
    data = _good(rng, now)
    return data[: rng.randrange(len(data))]


def _oversized(rng: random.Random, now: int) -> bytes:
    length = 1_000 if rng.random() < 0.98 else rng.choice((30_000, 100_000, 900_000))
    name = rng.choice(("session_id", "item_id", "type", "more", "ts", "features"))
    found = _fields(rng, now)
    match name:
        case "ts":
            return _json(found).replace(b'"ts": ', b'"ts": ' + b"9" * length)
        case "features":
            found[name] = {str(n): "x" * 90 for n in range(length // 100)}
        case _:
            found[name] = "x" * length
    return _json(found)


def _nested(rng: random.Random, now: int) -> bytes:
    depth = rng.choice((3, 40, 400, 3_000)) if rng.random() < 0.98 else 100_000
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    inside = opening * depth + b"1" + closing * (depth if rng.random() < 0.5 else 0)
    if rng.random() < 0.3:
        return inside
    name = rng.choice((b"more", b"features", b"session_id"))
    return _good(rng, now)[:-1] + b',"' + name + b'":' + inside + b"}"


def _wrong_type(rng: random.Random, now: int) -> bytes:
    found: object = _fields(rng, now)
    assert isinstance(found, dict)
    values = (None, True, 1.5, 1e308, -1, 2**63, 10**40, "", "x", [], {}, [1], {"a": 1}, "now", 0)
    for name in rng.sample(("session_id", "item_id", "ts", "type", "seq", "features"), 2):
        found[name] = rng.choice(values)
    if rng.random() < 0.1:
        found = rng.choice(([found], "text", 5, None, True, [found] * 3))
    return _json(found)


def _missing(rng: random.Random, now: int) -> bytes:
    found = _fields(rng, now)
    del found[rng.choice(("session_id", "item_id", "ts"))]
    return _json(found)


def _not_utf8(rng: random.Random, now: int) -> bytes:
    data = _good(rng, now)
    at = rng.randrange(len(data))
    wrong = rng.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80", b"\xe9"))
    match rng.randrange(4):
        case 0:
            return _good(rng, now).decode().encode(rng.choice(("utf-16", "utf-32", "utf-7")))
        case 1:
            return rng.randbytes(rng.randrange(1, 200))
        case 2:
            return b"\xef\xbb\xbf" + data
        case _:
            return data[:at] + wrong + data[at:]


def _surrogates(rng: random.Random, now: int) -> bytes:
    text = rng.choice((b"\\ud800", b"\\udc00x", b"\\ud83d\\ude00", b"\\u0000", b"\\u001b[31m"))
    return _good(rng, now).replace(b'"i', b'"' + text)


def _future(rng: random.Random, now: int) -> bytes:
    ahead = rng.choice((SKEW_MS, SKEW_MS + 1, 3_600_000, 4_000_000_000_000, 9_000_000_000_000))
    return _json(_fields(rng, now) | {"ts": now + ahead})


def _ancient(rng: random.Random, now: int) -> bytes:
    return _json(_fields(rng, now) | {"ts": rng.choice((0, 1, now - 10**9, now - 30_000))})


def _framed(rng: random.Random, now: int) -> bytes:
    return b"\0" + rng.randbytes(rng.randrange(8)) + _good(rng, now)


def _twice(rng: random.Random, now: int) -> bytes:
    return _good(rng, now)[:-1] + b', "ts": ' + rng.choice((b"1", b'"x"', b"null")) + b"}"


def _empty(rng: random.Random, now: int) -> bytes | None:
    return rng.choice((b"", b" ", b"null", b"{}", b"\n", None))


_MAKERS: dict[str, Callable[[random.Random, int], bytes | None]] = {
    "malformed": _malformed,
    "truncated": _truncated,
    "oversized": _oversized,
    "nested": _nested,
    "wrong type": _wrong_type,
    "missing": _missing,
    "not utf-8": _not_utf8,
    "surrogates": _surrogates,
    "future": _future,
    "ancient": _ancient,
    "framed": _framed,
    "field twice": _twice,
    "empty": _empty,
}
