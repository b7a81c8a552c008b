"""Settings as TOML text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def toml_table(name: str, values: Mapping[str, Any]) -> str:
    """A table with its sub-tables.

    >>> print(toml_table("two-stage", {"depth": 60, "parts": {"a.b": {"kind": "vmis-knn"}}}))
    [two-stage]
    depth = 60
    <BLANKLINE>
    [two-stage.parts."a.b"]
    kind = "vmis-knn"
    """
    return "\n\n".join(_tables(_key(name), values))


def _tables(place: str, values: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{_key(name)} = {_value(value)}"
        for name, value in values.items()
        if not isinstance(value, Mapping)
    ]
    inner = {name: value for name, value in values.items() if isinstance(value, Mapping)}
    # A table that only holds tables needs no header; an empty one does.
    own = ["\n".join([f"[{place}]", *lines])] if lines or not inner else []
    return own + [t for n, v in inner.items() for t in _tables(f"{place}.{_key(n)}", v)]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value: Any) -> str:
    # The JSON of a string, number, boolean or list of them is its TOML too.
    return json.dumps(value, ensure_ascii=False)
