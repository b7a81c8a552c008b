"""docs/semantics.md prints what the code prints."""

import doctest
from pathlib import Path

DOC = Path(__file__).resolve().parents[1] / "docs" / "semantics.md"


def test_every_worked_example_is_true() -> None:
    failed, tried = doctest.testfile(str(DOC), module_relative=False)
    assert failed == 0
    assert tried > 40
