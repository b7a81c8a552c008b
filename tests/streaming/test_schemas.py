"""The published schemas are those of the code, and the code's messages fit them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from session_rec.events import Event, EventError, decode_event, encode_event
from streaming.messages import Prediction, decode_prediction, encode_prediction
from streaming.schemas import schemas

_PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "schemas"


def test_the_files_are_what_the_code_gives() -> None:
    assert {p.name: p.read_bytes() for p in _PUBLISHED.iterdir()} == schemas(), (
        "run: python -m streaming.schemas docs/schemas"
    )


def test_the_codecs_speak_the_published_schemas() -> None:
    event = Event("s1", "i1", 5, "cart", 3, {"device": "phone"})
    jsonschema.validate(json.loads(encode_event(event)), published("event"))
    prediction = Prediction(1, "t-0-1", "s1", 5, 6, "abc", ["i1"], [0.5], 1, False, True)
    data = encode_prediction(prediction)
    jsonschema.validate(json.loads(data), published("prediction"))
    assert decode_prediction(data) == prediction


@pytest.mark.parametrize(
    "value",
    [
        '{"session_id": "s", "item_id": "i"}',
        '{"session_id": "", "item_id": "i", "ts": 1}',
        '{"session_id": "s", "item_id": "i", "ts": -1}',
        '{"session_id": 1, "item_id": 2, "ts": 3}',
        '{"session_id": "s", "item_id": "i", "ts": 1, "more": true}',
        '{"session_id": "s", "item_id": "i", "ts": 1, "seq": 1.5}',
        "[]",
    ],
)
def test_schema_and_codec_accept_the_same(value: str) -> None:
    try:
        jsonschema.validate(json.loads(value), published("event"))
        fits = True
    except jsonschema.ValidationError:
        fits = False
    try:
        decode_event(value.encode())
        decoded = True
    except EventError:
        decoded = False
    assert fits == decoded


def published(name: str) -> dict[str, object]:
    schema: dict[str, object] = json.loads((_PUBLISHED / f"{name}.schema.json").read_text())
    return schema
