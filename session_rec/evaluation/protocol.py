"""What a number means: no metric is kept or shown without it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from session_rec.event_log import Questions, SessionLog
from session_rec.sessions import SessionRules


class Protocol(msgspec.Struct, frozen=True):
    """How a set of figures was measured; figures compare only where all of this is equal.

    Attributes:
        data: sha256 (hex) of the scored events.
        split: which part of the data was scored.
        rules: session rules, as :meth:`SessionRules.to_dict` gives them.
        positions: which positions of a session are questions.
        min_prefix: events that a session must have had before a question.
        candidates: what was ranked.
        ties: how equal scores rank.
        unknown_targets: what becomes of answers outside the catalog.
        questions, sessions: how many were scored.
        interval: how the 95 % intervals were made.
    """

    data: str
    split: str
    rules: dict[str, str | int]
    min_prefix: int
    questions: int
    sessions: int
    positions: str = "every position with a next event in its session"
    candidates: str = "all items of the catalog, seen items included"
    ties: str = "pessimistic: equal scores rank above the target"
    unknown_targets: str = "a miss"
    interval: str = "95 %, percentile, 1000 resamples of sessions, seed 0"

    @classmethod
    def of(
        cls,
        log: SessionLog,
        questions: Questions,
        rules: SessionRules,
        split: str,
        min_prefix: int = 1,
    ) -> Protocol:
        """The protocol of answering ``questions``, which ``log`` gave under ``rules``."""
        return cls(
            data=log.fingerprint,
            split=split,
            rules=rules.to_dict(),
            min_prefix=min_prefix,
            questions=len(questions),
            sessions=len(np.unique(questions.session)),
        )

    def to_dict(self) -> dict[str, Any]:
        """The protocol as JSON-able values."""
        return msgspec.structs.asdict(self)
