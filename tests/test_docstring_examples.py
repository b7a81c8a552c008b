"""The examples in docstrings run, and everything that the engine offers has one."""

from __future__ import annotations

import doctest
import inspect
import tempfile
from importlib import import_module
from pathlib import Path

import pytest

from session_rec.config import Config

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ">>> "

#: Modules whose every public class and function shows by an example how it is used.
SHOWN = (
    "session_rec.bundle",
    "session_rec.catalog",
    "session_rec.policy",
    "session_rec.ragged",
    "session_rec.recommender",
    "session_rec.retrieval",
    "session_rec.slates",
    "session_rec.weights",
    *(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "session_rec/predictors").glob("*.py"))
    ),
)
#: Without an example of its own, and why.
EXEMPT = {"TransformerPredictor": "needs an encoder that was trained: see docs and README"}


def modules_with_examples() -> list[str]:
    """Every module with an example."""
    found = []
    for package in ("session_rec", "training", "streaming"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if EXAMPLE in path.read_text("utf-8"):
                parts = path.relative_to(ROOT).with_suffix("").parts
                found.append(".".join(parts).removesuffix(".__init__"))
    return found


def public(name: str) -> list[tuple[str, object]]:
    """The public classes and functions that the module ``name`` defines itself."""
    return [
        (member, value)
        for member, value in vars(import_module(name)).items()
        if not member.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(import_module(name), optionflags=flags)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples: see the output"


@pytest.mark.parametrize("name", SHOWN)
def test_everything_public_has_an_example(name: str):
    for member, value in public(name):
        if member in EXEMPT or (
            # What has no behaviour of its own: settings, errors.
            inspect.isclass(value) and issubclass(value, Config | Exception)
        ):
            continue
        assert EXAMPLE in (value.__doc__ or ""), f"{name}.{member} shows no example"


def test_no_module_is_forgotten():
    assert set(SHOWN) - {"session_rec.predictors.transformer"} <= set(modules_with_examples())
