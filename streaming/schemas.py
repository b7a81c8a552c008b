"""The published JSON Schemas, made from code by ``python -m streaming.schemas docs/schemas``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from session_rec.events import EventMessage
from session_rec.files import write_file
from streaming.messages import Prediction

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, bytes]:
    """File name -> the schema as JSON, for the messages that cross Kafka."""
    return {
        "event.schema.json": _schema(
            EventMessage, "Event", "One thing a shopper did. The record key is the session id."
        ),
        "prediction.schema.json": _schema(
            Prediction, "Prediction", "The slate after one event. The record key is the session id."
        ),
    }


def _schema(type_: Any, title: str, description: str) -> bytes:
    body = msgspec.json.schema(type_)
    definition = body["$defs"].pop(body["$ref"].rsplit("/", 1)[1])
    document = {
        "$schema": _DIALECT,
        **definition,
        "title": title,
        "description": description,
    }
    if body["$defs"]:
        document["$defs"] = body["$defs"]
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def main() -> None:
    """Writes the schemas into the directory that is the first argument."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schemas")
    for name, data in schemas().items():
        write_file(target / name, data)


if __name__ == "__main__":
    main()
