"""The unit and the container file, as far as they can be tried without systemd and a container
engine at work."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from session_rec.cli import build_app
from session_rec.config import load_config
from streaming.config import StreamConfig
from streaming.fencing import FENCED

ROOT = Path(__file__).resolve().parents[3]
UNIT = ROOT / "deploy" / "session-rec-stream@.service"
CONTAINERFILE = (ROOT / "deploy" / "Containerfile").read_text("utf-8")
PIP = re.search(r"^RUN \S+ (-m pip install .*)$", CONTAINERFILE, re.M)


def unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text("utf-8").replace("\\\n", " ").splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def options(words: list[str]) -> list[str]:
    """What the words give to ``--set``, after a look at each option."""
    command = typer.main.get_command(build_app()).commands[words[0]]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {w for w in words[1:] if w.startswith("--")} <= known
    return [words[n + 1] for n, word in enumerate(words) if word == "--set"]


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there: apt-get install systemd")
    # Its program is where the service is installed, not here.
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text("utf-8")))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_starts_what_there_is_and_gives_it_the_time_it_takes() -> None:
    keys = unit()
    (start,) = keys["ExecStart"]
    program, *words = shlex.split(start.replace("%i", "3").replace("%H", "host"))
    assert program.endswith("/session-rec")
    settings = load_config(None, StreamConfig, ["model=m", *options(words)])
    assert (settings.http_port, settings.group_instance_id) == (9463, "host-3")
    assert keys["Type"] == ["notify"]
    assert keys["RestartPreventExitStatus"] == [str(FENCED)]
    assert float(keys["TimeoutStopSec"][0]) > settings.shutdown_timeout_s
    assert float(keys["WatchdogSec"][0]) > settings.round_limit_s
    assert float(keys["TimeoutStartSec"][0]) > (
        settings.kafka.connect_timeout_s + settings.kafka.session_timeout_s
    )


def test_what_the_container_file_copies_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    copied = [
        path
        for line in re.findall(r"^COPY (?!--from)(.+)$", CONTAINERFILE, re.M)
        for path in line.split()[:-1]
    ]
    assert "*" in ignored and set(copied) >= {"pyproject.toml", "session_rec", "streaming"}
    for path in copied:
        assert (ROOT / path).exists() and f"!{path}" in ignored, path
    (stages,) = {len(re.findall(r"^FROM ", CONTAINERFILE, re.M))}
    assert stages == 2
    last = CONTAINERFILE.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER \d+:\d+$", last, re.M) and "pip" not in last


def test_what_the_container_runs_is_there() -> None:
    import json

    last = CONTAINERFILE.rsplit("\nFROM ", 1)[1]
    entry, command = (
        json.loads(found)
        for found in (
            re.search(r"^ENTRYPOINT (.+)$", last, re.M)[1],  # type: ignore[index]
            re.search(r"^CMD (.+)$", last, re.M)[1],  # type: ignore[index]
        )
    )
    assert entry == ["session-rec"]
    settings = load_config(None, StreamConfig, ["model=m", *options(command)])
    port = StreamConfig.model_fields["http_port"].default
    assert settings.log_format == "json" and f"EXPOSE {port}\n" in last
    check = json.loads(re.search(r"^HEALTHCHECK .*\\\n\s+CMD (.+)$", last, re.M)[1])  # type: ignore[index]
    assert check[:2] == ["python", "-c"] and f"127.0.0.1:{port}/healthz" in check[2]
    # It fails where nothing answers, which a port that is closed shows.
    closed = check[2].replace(f":{port}", ":1")
    done = subprocess.run([sys.executable, "-c", closed], capture_output=True)
    assert done.returncode != 0 and b"refused" in done.stderr


def test_it_installs_what_the_serving_tests_install() -> None:
    assert PIP is not None
    words = [w for w in shlex.split(PIP[1]) if w not in ("--no-cache-dir", "-q")]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (line,) = [x for x in makefile.splitlines() if "$(SERVING)/bin/python -m pip install" in x]
    assert words == [w for w in shlex.split(line)[1:] if w != "-q"]


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_its_pip_command_gives_a_command_line_that_serves(tmp_path: Path) -> None:
    assert PIP is not None
    source = tmp_path / "src"
    source.mkdir()
    for line in re.findall(r"^COPY (?!--from)(.+)$", CONTAINERFILE, re.M):
        for path in line.split()[:-1]:
            if (ROOT / path).is_dir():
                skip = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / path, source / path, ignore=skip)
            else:
                shutil.copy(ROOT / path, source / path)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, *shlex.split(PIP[1])], cwd=source, check=True)
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "session-rec", "stream", "--set", "model=none"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "session-rec: none" in done.stderr, done.stderr
