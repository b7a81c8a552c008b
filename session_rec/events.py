"""A click event and the one codec for its JSON, used by every producer and consumer.

Item and session ids are strings; a producer may send integers, which are read as decimal.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

#: Event types with codes of their own, in code order; any other type is kept as a string by the
#: codec and coded as ``other`` in arrays.
EVENT_TYPES: tuple[str, ...] = ("view", "cart", "purchase", "other")
_CODES = {name: code for code, name in enumerate(EVENT_TYPES)}

#: Years 1970 to 2286 in milliseconds: what a clock of events may say.
MAX_TS_MS = 10_000_000_000_000

#: A schema registry's serializers begin a value with byte 0 and the schema id, 4 bytes, big-endian.
_CONFLUENT_PREFIX = 5

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_IntId = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class EventError(ValueError):
    """The bytes are not an event; the message is the reason for the dead letter."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing a shopper did.

    Attributes:
        session_id: who; equal to the Kafka record key.
        item_id: with which item.
        ts: when, milliseconds since 1970-01-01 UTC.
        type: ``view``, ``cart``, ``purchase`` or another word.
        seq: order of events of one session within the same millisecond, if the producer knows it.
        features: session features such as ``device`` and ``country``.

    >>> event = Event("ann", "pear", ts=1_700_000_000_000)
    >>> event.type, event.seq
    ('view', None)
    """

    session_id: str
    item_id: str
    ts: int
    type: str = "view"
    seq: int | None = None
    features: dict[str, str] = {}


class EventMessage(msgspec.Struct, frozen=True):
    """The JSON of an event as it may come in: the source of the published JSON Schema."""

    session_id: _Id | _IntId
    item_id: _Id | _IntId
    ts: Annotated[int, msgspec.Meta(ge=0, le=MAX_TS_MS)]
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "view"
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    features: dict[
        Annotated[str, msgspec.Meta(max_length=64)], Annotated[str, msgspec.Meta(max_length=256)]
    ] = {}


_decoder = msgspec.json.Decoder(EventMessage)
_encoder = msgspec.json.Encoder()


def decode_event(data: bytes) -> Event:
    """The event in ``data`` (UTF-8 JSON); unknown fields are ignored.

    Raises:
        EventError: the bytes are not JSON, or not an event; the message says which field.

    >>> decode_event(b'{"session_id": 7, "item_id": "pear", "ts": 1000, "page": 2}')
    Event(session_id='7', item_id='pear', ts=1000, type='view', seq=None, features={})
    >>> decode_event(b'{"session_id": 7, "ts": 1000}')
    Traceback (most recent call last):
    session_rec.events.EventError: not an event: Object missing required field `item_id`
    """
    try:
        m = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise EventError(_reason(data, e)) from None
    return Event(str(m.session_id), str(m.item_id), m.ts, m.type, m.seq, m.features)


def encode_event(event: Event) -> bytes:
    """The UTF-8 JSON of ``event``; fields at their default are left out.

    >>> encode_event(Event("ann", "pear", 1000, "cart"))
    b'{"session_id":"ann","item_id":"pear","ts":1000,"type":"cart"}'
    """
    return _encoder.encode(event)


def type_code(name: str) -> int:
    """The int8 code of an event type.

    >>> type_code("view"), type_code("cart"), type_code("other"), type_code("wishlist")
    (0, 1, 3, 3)
    """
    return _CODES.get(name, len(EVENT_TYPES) - 1)


def _reason(data: bytes, error: Exception) -> str:
    if not data:
        return "empty value"
    if data[:1] == b"\0":
        if len(data) < _CONFLUENT_PREFIX:
            return "not an event: it begins with magic byte 0, plain JSON is expected"
        schema = int.from_bytes(data[1:_CONFLUENT_PREFIX], "big")
        return (
            "magic byte 0: looks like the Confluent schema registry wire format, schema id "
            f"{schema}: produce plain JSON"
        )
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return f"not an event: {error}"
