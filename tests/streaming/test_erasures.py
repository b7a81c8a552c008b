"""The audit log: what it says, what it does not say, and that it is there before a commit."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
from pathlib import Path
from unittest import mock

import pytest

from session_rec.config import load_config
from session_rec.errors import ConfigError, UserError
from streaming.config import StreamConfig
from streaming.contexts import Erasure
from streaming.erasures import AuditLog

KEY = "correct horse battery staple"


def test_a_line_proves_an_erasure_to_who_has_the_key_and_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    log = AuditLog(path, KEY)
    log.record("events", 3, [Erasure("ann", 7, True), Erasure("bob", 9, False)])
    log.record("events", 4, [])
    log.record("events", 4, [Erasure("ann", 1, False)])
    text = path.read_text()
    first, second, third = map(json.loads, text.splitlines())
    assert "ann" not in text and "bob" not in text
    assert (first["topic"], first["partition"], first["offset"]) == ("events", 3, 7)
    assert (first["was_live"], second["was_live"]) == (True, False)
    assert first["time"].endswith("+00:00")
    digest = hmac.new(KEY.encode(), b"ann", hashlib.sha256).hexdigest()
    assert first["session_hmac_sha256"] == third["session_hmac_sha256"] == digest
    assert second["session_hmac_sha256"] != digest
    assert path.stat().st_mode & 0o077 == 0


def test_an_auditor_needs_no_code_of_ours(tmp_path: Path) -> None:
    """As docs/erasure.md says it."""
    command = ["openssl", "dgst", "-sha256", "-hmac", KEY]
    out = subprocess.run(command, input=b"ann", capture_output=True, check=True).stdout
    assert out.decode().split()[-1] == AuditLog(tmp_path / "audit", KEY).digest("ann")


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, KEY)
    log.record("events", 0, [Erasure("ann", 1, True)])
    path.write_bytes(path.read_bytes() + b'{"time":"20')  # killed, or the disk full
    log.record("events", 0, [Erasure("bob", 2, True)])
    lines = path.read_text().splitlines()
    assert [json.loads(line)["offset"] for line in (lines[0], lines[2])] == [1, 2]


def test_what_cannot_be_recorded_is_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", KEY)
    for name, failing in (
        ("write", mock.Mock(return_value=3)),
        ("fsync", mock.Mock(side_effect=OSError(5, "Input/output error"))),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing)
            with pytest.raises(UserError, match="cannot be written"):
                log.record("events", 0, [Erasure("ann", 1, True)])
    with pytest.raises(UserError, match="cannot be written"):
        AuditLog(tmp_path, KEY)


def test_an_audit_log_wants_a_key_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(*more: str) -> StreamConfig:
        return load_config(None, StreamConfig, ['model="m"', 'audit_log="a.jsonl"', *more])

    with pytest.raises(ConfigError, match="audit_key_env or in audit_key_file"):
        config()
    with pytest.raises(ConfigError, match="audit_key_env or in audit_key_file"):
        config('audit_key_env="A"', 'audit_key_file="b"')
    with pytest.raises(ConfigError, match="AUDIT_KEY is not set"):
        config('audit_key_env="AUDIT_KEY"').audit_key()
    monkeypatch.setenv("AUDIT_KEY", "short")
    with pytest.raises(UserError, match="at least 16 characters"):
        AuditLog(tmp_path / "a", config('audit_key_env="AUDIT_KEY"').audit_key() or "")
    (tmp_path / "key").write_text(KEY + "\n")
    assert config(f'audit_key_file="{tmp_path}/key"').audit_key() == KEY
