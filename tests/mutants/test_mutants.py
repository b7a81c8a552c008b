"""The table of deliberate bugs fits the sources; ``make mutants`` runs them."""

import ast
from pathlib import Path

import pytest
from mutants.run import ROOT, Mutant, read_mutants


@pytest.mark.parametrize("mutant", read_mutants(), ids=lambda m: m.name)
def test_the_bug_can_be_written_into_the_sources(mutant: Mutant, tmp_path: Path) -> None:
    target = tmp_path / mutant.file
    target.parent.mkdir(parents=True)
    target.write_text((ROOT / mutant.file).read_text())
    mutant.apply(tmp_path)
    ast.parse(target.read_text())
    assert all((ROOT / test.partition("::")[0]).exists() for test in mutant.tests)
