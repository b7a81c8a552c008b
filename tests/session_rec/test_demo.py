"""The demo's steps: what it started ends with it."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import typer

from session_rec import demo
from session_rec.cli import build_app
from session_rec.demo import MODELS, Demo

ROOT = Path(__file__).resolve().parents[2]

#: A demo whose step says its pid, sleeps, and says when it was interrupted.
_DEMO = """
import subprocess, sys
from pathlib import Path
from session_rec import cli, demo
step = '''
import os, time
try:
    print(os.getpid(), flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
'''
popen = subprocess.Popen
demo.subprocess.Popen = lambda words: popen([sys.executable, "-c", step])
demo._OWN_END_S = 0.2
cli.build_app = lambda: lambda: demo.Demo(Path("x"), Path("x"), 1, 1, 1, 1.0, 0)._step("wait")
cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_demo_alone_ends_its_step_first(number: signal.Signals, code: int) -> None:
    with subprocess.Popen([sys.executable, "-c", _DEMO], stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        step = next(int(line) for line in p.stdout if line.strip().isdigit())
        time.sleep(0.2)  # the step is between its two lines for some microseconds
        p.send_signal(number)
        assert p.stdout.read().split() == ["interrupted"]
        assert p.wait(20) == code
    with pytest.raises(ProcessLookupError):
        os.kill(step, 0)


def test_a_signal_right_after_the_fork_does_not_leave_the_step_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(words: list[str]) -> subprocess.Popen[bytes]:
        started.append(popen(["sleep", "60"]))
        signal.raise_signal(signal.SIGINT)  # nobody has its Popen object yet
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    monkeypatch.setattr(demo, "_OWN_END_S", 0.01)
    with pytest.raises(KeyboardInterrupt):
        Demo(tmp_path, tmp_path, 1, 1, 1, 1.0, 0)._step("wait")
    assert started[0].poll() == -signal.SIGINT


def test_every_step_of_the_demo_is_a_command_with_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[list[str]] = []
    monkeypatch.setattr(Demo, "_step", lambda _, *words: steps.append([str(w) for w in words]))
    monkeypatch.setattr(Demo, "_result", lambda *_: sys.exit(99))
    with pytest.raises(SystemExit, match="99"):
        Demo(tmp_path, ROOT / "configs", 1, 2000, 10, 10.0, 0).run()
    app = typer.main.get_command(build_app())
    assert isinstance(app, typer.core.TyperGroup)
    for name, *words in steps:
        known = {option for p in app.commands[name].params for option in p.opts}
        assert {w for w in words if w.startswith("--")} <= known
    # The report looks at what the steps before it wrote.
    words = next(words for name, *words in steps if name == "report")
    made = [str(w) for name, *before in steps if name != "report" for w in before]
    read = [w for w, o in zip(words, ["", *words], strict=False) if o not in ("--out", "--json")]
    assert {w for w in read if not w.startswith("--")} <= {*made, *_trained(steps)}


def test_the_parts_of_the_demos_two_stage_model_are_its_other_models() -> None:
    """With one setting changed in one file only, the transformer would be trained once more."""
    tables = {
        name: tomllib.loads((ROOT / "configs" / "demo" / f"{name}.toml").read_text("utf-8"))
        for name in MODELS
    }
    parts = tables["two-stage"]["model"]["parts"]
    run_dir = parts["transformer"].pop("run_dir")
    assert run_dir == tables["transformer"]["out"] + ".run"
    assert {name: tables[name]["model"] for name in parts} == parts


def _trained(steps: list[list[str]]) -> set[str]:
    sets = [w for name, *words in steps if name == "train" for w in words if w.startswith("out=")]
    return {s.removeprefix("out=").strip('"') for s in sets}
