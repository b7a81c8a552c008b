"""Proof that sessions were erased, without saying whose."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from session_rec.errors import UserError
from streaming.contexts import Erasure

#: Characters of the key below which session ids could be guessed from their digests.
LEAST_KEY = 16


class AuditLog:
    """A file of JSON lines, one for each tombstone carried out: appended, and on the disk before
    the tombstone's offset is committed.

    After a crash between the two a line comes twice, with the same topic, partition and offset.

    Args:
        path: the file; made if it is not there.
        key: of the digests; who has it can tell whether a given id was erased, nobody else can.

    Raises:
        UserError: the file cannot be written, or the key is short.
    """

    def __init__(self, path: Path, key: str) -> None:
        if len(key) < LEAST_KEY:
            raise UserError(
                f"the key of the audit log must have at least {LEAST_KEY} characters: "
                "make one with openssl rand -hex 32"
            )
        self._path = path
        self._key = key.encode()
        self._append(b"")

    def digest(self, session_id: str) -> str:
        """HMAC-SHA256 of the session id under the key, as hex digits (RFC 2104)."""
        text = session_id.encode("utf-8", "surrogateescape")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()

    def record(self, topic: str, partition: int, erasures: Iterable[Erasure]) -> None:
        """Appends a line for each, durably.

        Raises:
            UserError: it cannot; then nothing may be committed.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = [
            msgspec.json.encode(
                {
                    "time": now,
                    "topic": topic,
                    "partition": partition,
                    "offset": erasure.offset,
                    "session_hmac_sha256": self.digest(erasure.session_id),
                    "was_live": erasure.live,
                }
            )
            for erasure in erasures
        ]
        if lines:
            self._append(b"".join(line + b"\n" for line in lines))

    def _append(self, data: bytes) -> None:
        # Opened each time, so that whoever rotates the file need not tell us.
        try:
            fresh = not self._path.exists()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                size = os.fstat(fd).st_size
                if data and size and os.pread(fd, 1, size - 1) != b"\n":
                    data = b"\n" + data  # a write before was cut short
                if os.write(fd, data) < len(data):
                    raise OSError(28, "no space left")
                os.fsync(fd)
            finally:
                os.close(fd)
            if fresh:
                sync_directory(self._path.parent)
        except OSError as e:
            raise UserError(
                f"the audit log {self._path} cannot be written ({e.strerror}): nothing is "
                "committed that it does not hold; make room or choose another place"
            ) from None


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
