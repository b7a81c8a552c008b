"""The one codec of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_rec.events import MAX_TS_MS, Event, EventError, decode_event, encode_event

text = st.text(min_size=1, max_size=20)
events = st.builds(
    Event,
    text,
    text,
    st.integers(0, MAX_TS_MS),
    st.sampled_from(["view", "cart", "zoom"]),
    st.none() | st.integers(0, 2**63 - 1),
    st.dictionaries(text, text, max_size=3),
)


@given(events)
def test_what_was_encoded_is_decoded(event):
    assert decode_event(encode_event(event)) == event


def test_integer_ids_are_read_as_decimal():
    event = decode_event(b'{"session_id": 7, "item_id": -12, "ts": 5, "extra": [1, {}]}')
    assert event == Event("7", "-12", 5)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty value"),
        (b"\0\0\0\1\2{}", "Confluent schema registry wire format, schema id 258: produce plain"),
        (b"\0\xff\xff\xff\xff\2\4ab", "schema id 4294967295: produce plain JSON"),
        (b"\0\0\0\0\1", "schema id 1"),
        (b"\0\0\0\1", "magic byte 0, plain JSON is expected"),
        (b"{", "not an event"),
        (b"[]", "not an event"),
        (b'{"session_id": "s", "ts": 1}', "item_id"),
        (b'{"session_id": "s", "item_id": "", "ts": 1}', "item_id"),
        (b'{"session_id": "s", "item_id": "i", "ts": "now"}', "ts"),
        (b'{"session_id": "s", "item_id": "i", "ts": -1}', "ts"),
        (b'{"session_id": "s", "item_id": "i", "ts": 1e99}', "ts"),
        (b'{"session_id": "s", "item_id": "i", "ts": 99999999999999}', "ts"),
        (b'{"session_id": "\xff", "item_id": "i", "ts": 1}', "not an event"),
        (b"[" * 100_000, "not an event|deep"),
    ],
)
def test_what_is_no_event_gets_a_reason(data, reason):
    with pytest.raises(EventError, match=reason):
        decode_event(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_event_or_a_reason(data):
    try:
        decode_event(data)
    except EventError as e:
        assert str(e)
