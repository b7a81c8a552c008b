"""What a commit says beside its offset."""

from __future__ import annotations

import msgspec


class CommitMetadata(msgspec.Struct, frozen=True):
    """What stands beside a committed offset.

    What came later than the first release is UNSET in commits of before, and then not compared.
    An older reader passes over what it does not know, so that ``v`` is still 1.

    Attributes:
        rebuild_from: reading ``[rebuild_from, committed)`` gives the state at the commit.
        stream_time: stream time just before ``rebuild_from``, milliseconds.
        rules: fingerprint of the session rules.
        lateness: allowed lateness, milliseconds.
        idle: ``pairs_idle_s`` in milliseconds; None under rules that have a clock.
        skew: ``max_future_skew_s`` in milliseconds; None where the check is off.
        bots: ``bot_span_s`` in milliseconds.
        v: version of this metadata; grows when a reader must change.
    """

    rebuild_from: int
    stream_time: int | None
    rules: str
    lateness: int
    idle: int | msgspec.UnsetType | None = msgspec.UNSET
    skew: int | msgspec.UnsetType | None = msgspec.UNSET
    bots: int | msgspec.UnsetType = msgspec.UNSET
    v: int = 1


#: What of the metadata decides the state that reading back gives; the setting it comes from.
DECIDE_STATE = {
    "rules": "session rules",
    "lateness": "allowed_lateness_s",
    "idle": "pairs_idle_s",
    "skew": "max_future_skew_s",
}
