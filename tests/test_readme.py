"""What the README shows works as it stands there."""

import os
import re
import shlex
from pathlib import Path

import msgspec
import numpy as np
import pytest
import typer

from session_rec import Catalog, Ragged, SessionRules
from session_rec.bundle import save_bundle
from session_rec.cli import build_app
from session_rec.events import decode_event
from session_rec.predictors.sequential_rules import SequentialRules
from streaming.messages import decode_prediction

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    catalog = Catalog(("102261", "110374", "110402"), np.array([2, 2, 1]))
    save_bundle(
        Path("runs/demo/models/transformer"),
        catalog,
        SequentialRules.fit(Ragged.from_lists([[0, 1], [1, 2], [0, 1]]), 3),
        SessionRules(),
        data_fingerprint="x",
    )
    (example,) = blocks("python")
    assert "runs/demo/models/transformer" in example
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "('110402'," in printed
    assert "'110374'" in printed


def commands() -> list[list[str]]:
    found = []
    for block in blocks("sh") + re.findall(r"`(session-rec [^`]+)`", README):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and os.path.basename(words[0]) == "session-rec":
                found.append(words[1:])
    return found


@pytest.mark.parametrize("words", commands(), ids=lambda w: w[0])
def test_every_command_and_option_exists(words):
    command = typer.main.get_command(build_app()).commands[words[0]]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {w for w in words[1:] if w.startswith("-")} <= known


def test_there_are_commands_to_look_at():
    assert {c[0] for c in commands()} >= {
        "recommend", "prepare", "train", "evaluate", "replay", "stream", "play",
    }  # fmt: skip


def test_the_messages_are_what_the_codecs_take():
    event, prediction = blocks("json")
    assert decode_event(event.encode()).item_id == "102261"
    assert decode_prediction(prediction.encode()).items == ["110374", "110402"]
    with pytest.raises(msgspec.DecodeError):
        decode_prediction(b"{}")


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text()
    for at_start, quoted in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", README, re.M):
        assert re.search(rf"^{at_start or quoted}:", makefile, re.M), (at_start, quoted)


def test_every_file_that_is_named_is_there():
    for path in re.findall(r"`((?:configs|docs|session_rec|benchmarks)/[\w./-]+\.\w+)`", README):
        assert (ROOT / path).is_file(), path
