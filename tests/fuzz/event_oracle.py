"""What an event is, said a second time: by Python's own JSON parser and the published schema."""

from __future__ import annotations

import json
import json.decoder
import json.scanner
from typing import Any

from session_rec.events import MAX_TS_MS, Event, EventError, decode_event


class Undecided(Exception):
    """JSON parsers may differ here: names given twice, text that is no Unicode, deep nesting."""


class _PureDecoder(json.JSONDecoder):
    """Python's decoder in Python, so that a fuzzer sees its branches."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_pairs, parse_constant=_constant)
        self.parse_string = _string
        self.scan_once = json.scanner.py_make_scanner(self)


def _string(text: str, at: int, strict: bool = True) -> tuple[str, int]:
    found, end = json.decoder.py_scanstring(text, at, strict)
    _must_be_unicode(found)
    return found, end


def _must_be_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Undecided from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    for name in found:
        _must_be_unicode(name)
    if len(found) < len(pairs):
        raise Undecided
    return found


def _constant(name: str) -> Any:
    raise ValueError(name)


_decoder = _PureDecoder()
_quick = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def expected(data: bytes, pure: bool = False) -> Event | None:
    """The event in ``data``, None where there is none; ``pure`` by code that a fuzzer sees.

    Raises:
        Undecided: it depends on the parser.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Undecided from None
    try:
        # Half a character in a value is found by the slow one alone.
        found = (_decoder if pure or "\\u" in text else _quick).decode(text)
    except RecursionError:
        raise Undecided from None
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return _event(found)


def _event(found: dict[str, Any]) -> Event | None:
    session, item, ts = found.get("session_id"), found.get("item_id"), found.get("ts")
    kind, seq, features = found.get("type", "view"), found.get("seq"), found.get("features", {})
    for value in (session, item, ts, kind, seq, features):
        if isinstance(value, float):
            raise Undecided  # 1.0 is an integer to JSON Schema
    if not all(_is_id(value) for value in (session, item)):
        return None
    if not _is_int(ts) or not 0 <= ts <= MAX_TS_MS:
        return None
    if not isinstance(kind, str) or not 1 <= len(kind) <= 64:
        return None
    if seq is not None and not (_is_int(seq) and 0 <= seq <= 2**63 - 1):
        return None
    if not isinstance(features, dict) or not all(
        isinstance(v, str) and len(k) <= 64 and len(v) <= 256 for k, v in features.items()
    ):
        return None
    return Event(str(session), str(item), ts, kind, seq, features)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_id(value: Any) -> bool:
    if _is_int(value):
        return -(2**63) <= value <= 2**63 - 1
    return isinstance(value, str) and 1 <= len(value) <= 256


def check(data: bytes) -> Event | None:
    """Holds the codec to the oracle; returns what it decoded, None where it gave a reason."""
    try:
        event = decode_event(data)
    except EventError as e:
        assert str(e).strip(), "a reason without words"
        event = None
    if event is not None:
        # What becomes a record key, a dictionary key and a JSON answer must be text.
        event.session_id.encode(), event.item_id.encode(), event.type.encode()
        assert 0 <= event.ts <= MAX_TS_MS
    try:
        want = expected(data, pure=True)
    except Undecided:
        return event
    assert event == want, f"decoded {event!r}, expected {want!r}"
    return event
