"""docs/delivery.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TEXT = (HERE.parents[1] / "docs" / "delivery.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`((?:(?:\w+|\.\.)/)*test_\w+\.py)(?:::(\w+))?`", TEXT)))


@pytest.mark.parametrize(("file", "test"), NAMED, ids=lambda part: part or "all")
def test_a_named_test_exists(file: str, test: str) -> None:
    source = (HERE / file).read_text("utf-8")
    assert not test or re.search(rf"^(?:def|class) {test}\b", source, re.MULTILINE)


def test_promises_are_found_at_all() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and "test_" in line]
    assert len(rows) > 20 and len(NAMED) > 20
