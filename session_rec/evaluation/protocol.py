"""What a number means: no metric is kept or shown without it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np

from session_rec.catalog import Catalog
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
        items: how many items that were: among fewer, every rank is better.
        catalog: 16 hex digits that are equal for equal sets of items only.
        ties: how equal scores rank.
        unknown_targets: what becomes of answers outside the catalog.
        questions, sessions: how many were scored.
        interval: how the 95 % intervals were made.

    >>> from session_rec.toy import toy_log, toy_recommender
    >>> log, catalog = toy_log("pear plum"), toy_recommender("pear plum").catalog
    >>> def protocol(rules):
    ...     return Protocol.of(log, log.questions(catalog, rules), catalog, rules, "test")
    >>> protocol(SessionRules()).unlike(protocol(SessionRules(max_length=5)))
    {'rules.max_length': (20, 5)}
    """

    data: str
    split: str
    rules: dict[str, str | int]
    min_prefix: int
    questions: int
    sessions: int
    items: int
    catalog: str
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
        catalog: Catalog,
        rules: SessionRules,
        split: str,
        min_prefix: int = 1,
    ) -> Protocol:
        """The protocol of ranking ``catalog`` for the ``questions`` of ``log`` under ``rules``."""
        return cls(
            data=log.fingerprint,
            split=split,
            rules=rules.to_dict(),
            min_prefix=min_prefix,
            questions=len(questions),
            sessions=len(np.unique(questions.session)),
            items=len(catalog),
            catalog=items_fingerprint(catalog),
            positions=questions.positions,
        )

    def unlike(self, other: Protocol) -> dict[str, tuple[Any, Any]]:
        """The fields that differ, with both values; ``rules.NAME`` for a session rule.

        Figures compare only where there is none.
        """
        mine, theirs = (
            {k: v for k, v in p.to_dict().items() if k != "rules"}
            | {f"rules.{k}": v for k, v in p.rules.items()}
            for p in (self, other)
        )
        return {
            name: (mine.get(name), theirs.get(name))
            for name in dict.fromkeys((*mine, *theirs))
            if mine.get(name) != theirs.get(name)
        }

    def to_dict(self) -> dict[str, Any]:
        """The protocol as JSON-able values."""
        return msgspec.structs.asdict(self)


def items_fingerprint(catalog: Catalog) -> str:
    """16 hex digits that are equal for equal sets of item ids, whatever their order and counts.

    >>> one, other = Catalog.from_counts({"a": 1, "b": 2}), Catalog.from_counts({"b": 1, "a": 1})
    >>> items_fingerprint(one) == items_fingerprint(other)
    True
    """
    return hashlib.sha256("\0".join(sorted(catalog.item_ids)).encode()).hexdigest()[:16]
