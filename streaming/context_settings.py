"""What, besides the records, decides the state of a partition."""

from __future__ import annotations

from dataclasses import dataclass

from session_rec.sessions import SessionRules

#: Bytes in a mebibyte.
MIB = 1 << 20


@dataclass(frozen=True)
class ContextSettings:
    """What, besides the records, decides the state of a partition.

    The two caps alone do not survive a rebuild from the topic: which sessions were given up depends
    on which were there before. They do survive where a snapshot is loaded. Parity is claimed while
    no cap is reached, and each giving up is counted.

    Attributes:
        rules: the session rules.
        allowed_lateness_ms: how far behind stream time an event may be.
        pairs_idle_ms: under ``pairs`` rules, which have no clock, a session is forgotten once
            stream time has moved on by more than this since its last event.
        bot_span_ms: a context of ``max_length`` events that spans no more than this gets no
            prediction; 0 is off.
        max_sessions: live sessions per partition. Above it the session with the oldest newest
            event is given up; of equals, the one whose last event is longest ago.
        checkpoint_every: offsets between two remembered values of stream time.
        max_bytes: memory of the live sessions of a partition as
            :mod:`streaming.live_sessions` counts it, above which they are given up likewise;
            None is no cap. The session of the event just taken stays.
        max_future_skew_ms: how far an event may be ahead of its record; None is no check.
    """

    rules: SessionRules
    allowed_lateness_ms: int
    pairs_idle_ms: int = 7 * 24 * 3600 * 1000
    bot_span_ms: int = 0
    max_sessions: int = 500_000
    checkpoint_every: int = 256
    max_bytes: int | None = None
    max_future_skew_ms: int | None = None

    @property
    def forget_after_ms(self) -> int:
        """Milliseconds of stream time after which a session cannot be extended any more."""
        if self.rules.as_given:
            return self.pairs_idle_ms
        return self.rules.inactivity_ms + self.allowed_lateness_ms

    @property
    def reach_ms(self) -> int:
        """The longest age of an event that a live context may hold, seen from stream time.

        ``pairs`` rules know no horizon: each of a session's events may have come as late after the
        one before as the session was still live, and have been late itself.
        """
        if self.rules.as_given:
            return self.rules.max_length * self.pairs_idle_ms + self.allowed_lateness_ms
        return self.forget_after_ms + self.rules.horizon_ms

    def of_state(self) -> dict[str, str | int | None]:
        """What a stored state was made under: it is of use under equal values only."""
        return {
            "rules": self.rules.fingerprint,
            "allowed_lateness_ms": self.allowed_lateness_ms,
            "pairs_idle_ms": self.pairs_idle_ms if self.rules.as_given else None,
            "max_future_skew_ms": self.max_future_skew_ms,
            "max_sessions": self.max_sessions,
            "max_bytes": self.max_bytes,
            "checkpoint_every": self.checkpoint_every,
        }
