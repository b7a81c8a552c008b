"""Settings of the daemon's state: its bounds, its snapshots, its erasures."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from session_rec.config import Config
from streaming.secret_sources import read_secret


class StateSettings(Config):
    """How much is kept, and where (docs/delivery.md, docs/erasure.md).

    Attributes:
        max_sessions: live sessions per partition; above it the oldest are given up, counted.
        max_state_mb: MiB that the live sessions of a partition may take, by an account that is a
            little above what they do take; above it the oldest are given up, counted.
        state_dir: directory of this one process for snapshots of its state, which make a restart
            fast; none are kept if not given.
        snapshot_interval_s: seconds between two snapshots of a partition: what a restart reads
            again at most, beside what came meanwhile.
        audit_log: file to which each erasure is appended, without the session's id.
        audit_key_env: environment variable that holds the key of the audit log's digests.
        audit_key_file: file that holds it.
    """

    max_sessions: int = Field(500_000, ge=1)
    max_state_mb: float = Field(1024.0, ge=8)
    state_dir: Path | None = None
    snapshot_interval_s: float = Field(30.0, gt=0)
    audit_log: Path | None = None
    audit_key_env: str | None = None
    audit_key_file: Path | None = None

    @model_validator(mode="after")
    def _one_key(self) -> StateSettings:
        if self.audit_log and bool(self.audit_key_env) == bool(self.audit_key_file):
            raise ValueError(
                "audit_log needs the key of its digests in audit_key_env or in audit_key_file: "
                "without one key for all time they prove nothing"
            )
        return self

    def audit_key(self) -> str | None:
        """The key of the audit log's digests; None where none is named.

        Raises:
            ConfigError: it cannot be had.
        """
        return read_secret(self.audit_key_env, self.audit_key_file, "key of the audit log")
