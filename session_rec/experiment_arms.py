"""Which arm of an experiment a session is in: a pure function, so that every process, restart and
page of the shop gives the same answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

Arm = Literal["champion", "challenger"]

CHAMPION: Arm = "champion"
CHALLENGER: Arm = "challenger"
ARMS: tuple[Arm, ...] = (CHAMPION, CHALLENGER)


@dataclass(frozen=True)
class Arms:
    """Splits sessions by a salted hash.

    The first 64 bits of ``SHA-256(salt, a zero byte, session id)``, both as UTF-8, are an integer
    ``h``, the highest byte first. The session is the challenger's where ``h / 2^64 < share``. With
    a larger share no session leaves the challenger; under another salt all are drawn anew.

    Attributes:
        salt: of one experiment.
        share: of the sessions that the challenger gets, between 0 and 1.

    >>> arms = Arms("autumn", 0.5)
    >>> [arms.of(session) for session in ("ann", "bob", "ann")]
    ['challenger', 'champion', 'challenger']
    """

    salt: str
    share: float

    def of(self, session_id: str) -> Arm:
        """The session's arm."""
        digest = hashlib.sha256(f"{self.salt}\0{session_id}".encode()).digest()
        # An integer against a float: Python compares their values exactly.
        drawn = int.from_bytes(digest[:8], "big") < self.share * 2.0**64
        return CHALLENGER if drawn else CHAMPION
