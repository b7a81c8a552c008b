"""The examples in docstrings run, and everything that the engine offers has one."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
import tempfile
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

import session_rec
from session_rec.config import Config

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ">>> "
METHODS = FunctionType | classmethod | staticmethod | property

#: Every module of the engine: each public class and function shows by an example how it is used.
SHOWN = (
    "session_rec",
    *(m.name for m in pkgutil.walk_packages(session_rec.__path__, "session_rec.")),
)
#: Without an example of its own, and why: packages and modules (with all that is in them), members.
EXEMPT = {
    "session_rec.cli": "a command: README.md and --help show it",
    "session_rec.commands": "commands: README.md and --help show them",
    "session_rec.demo": "a command that runs for minutes: README.md shows it",
    "session_rec.report.html": "parts of one page, which is looked at",
    "session_rec.report.rows": "rows of the report's tables: fields without behaviour",
    "session_rec.certificate.Check": "fields only: the example of Certificate has one",
    "session_rec.evaluation.evaluate.Evaluation": "what evaluate() gives: its example has one",
    "session_rec.evaluation.outcomes.OutcomesHeader": "fields only: the header of Outcomes",
    "session_rec.evaluation.replay.Answers": "what replay() gives: its example has one",
    "session_rec.evaluation.replay.ReplayReport": "what summarise() gives: its example has one",
    "session_rec.events.EventMessage": "the source of a JSON Schema: Event is what is used",
    "session_rec.predictors.encoder.EncoderPredictor": "needs a trained encoder: README.md",
    "session_rec.predictors.gru4rec": "needs a trained encoder: README.md",
    "session_rec.predictors.transformer": "needs a trained encoder: README.md",
    "session_rec.report.examples.Choice": "what choose_sessions() gives: its example has one",
    "session_rec.sessions.Entry": "fields only: the example of SessionBuffer has some",
    "session_rec.sessions.Outcome": "what SessionBuffer.add() gives: its example has some",
}


def modules_with_examples() -> list[str]:
    """Every module with an example."""
    found = []
    for package in ("session_rec", "training", "streaming"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if EXAMPLE in path.read_text("utf-8"):
                parts = path.relative_to(ROOT).with_suffix("").parts
                found.append(".".join(parts).removesuffix(".__init__"))
    return found


def public(name: str) -> dict[str, object]:
    """The public classes and functions that the module ``name`` defines itself.

    Settings and errors, which have no behaviour of their own, are left out.
    """
    return {
        f"{name}.{member}": value
        for member, value in vars(import_module(name)).items()
        if not member.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
        and not (inspect.isclass(value) and issubclass(value, Config | Exception))
    }


def shows_an_example(value: object) -> bool:
    """Whether its docstring, or that of a public method of its own, holds an example that runs."""
    methods = {k: v for k, v in vars(value).items() if isinstance(v, METHODS) and k[0] != "_"}
    parser = doctest.DocTestParser()
    return any(
        not example.options.get(doctest.SKIP)
        for shown in (value, *(methods.values() if inspect.isclass(value) else ()))
        for example in parser.get_examples(shown.__doc__ or "")
    )


def exempt(name: str) -> bool:
    """Whether ``name`` or a package that holds it is in :data:`EXEMPT`."""
    return any(name == e or name.startswith(f"{e}.") for e in EXEMPT)


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(import_module(name), optionflags=flags)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples: see the output"


@pytest.mark.parametrize("name", [name for name in SHOWN if not exempt(name)])
def test_everything_public_has_an_example(name: str):
    without = [n for n, v in public(name).items() if not shows_an_example(v) and not exempt(n)]
    assert not without, f"{', '.join(without)}: show by an example how it is used"


def test_every_module_is_walked():
    files = (ROOT / "session_rec").rglob("*.py")
    names = {".".join(f.relative_to(ROOT).with_suffix("").parts) for f in files}
    assert {n.removesuffix(".__init__") for n in names} == set(SHOWN)


def test_what_is_exempt_is_there_and_shows_no_example():
    members = {n: v for name in SHOWN for n, v in public(name).items()}
    for name in EXEMPT:
        assert name in SHOWN or not shows_an_example(members[name]), f"{name} needs no exemption"
