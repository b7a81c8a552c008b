"""What the command line makes of files that may not be touched."""

import errno
import os

import pytest
import typer

from session_rec import cli


def run(monkeypatch, capsys, error):
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "build_app", lambda: app)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["session-rec"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code, capsys.readouterr().err


def test_a_file_without_permission_ends_in_one_sentence(monkeypatch, capsys):
    # The error that open() raises; a test that runs as root cannot be refused a file.
    error = OSError(errno.EACCES, os.strerror(errno.EACCES), "model/manifest.json")
    assert isinstance(error, PermissionError)
    code, said = run(monkeypatch, capsys, error)
    assert code == 2
    assert said.count("\n") == 1
    assert "model/manifest.json" in said
    assert "Permission denied" in said


def test_a_permission_of_no_file_is_a_defect(monkeypatch, capsys):
    with pytest.raises(PermissionError):
        run(monkeypatch, capsys, PermissionError(errno.EACCES, "Permission denied"))
