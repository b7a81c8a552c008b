"""Check (e): no held-out session is in the fitted data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator

import numpy as np

from session_rec.catalog import Catalog
from session_rec.certificate import Check
from session_rec.event_log import SessionLog
from session_rec.ragged import Ragged
from session_rec.sessions import SessionRules


def check_held_out(
    catalog: Catalog,
    rules: SessionRules,
    fitted: tuple[SessionLog, Ragged],
    stopping: tuple[SessionLog | None, Ragged],
    test: SessionLog | None,
) -> Check:
    """Compares what was fitted with the logs that it should be of, and these with each other.

    A session is held by its events: under ``shop`` rules (session id, item, ts, type), so that a
    shopper who comes again under the same id is none; where sessions are taken as given, by its
    id and its items in their order, as ``ts`` may be no clock.

    Args:
        fitted: the training log, and the sessions that the fit was given.
        stopping: the validation log, and the sessions that early stopping was given.
        test: the test log; None where no test split is known.
    """
    train_log, train_sessions = fitted
    valid_log, valid_sessions = stopping
    numbers: dict[str, int | str] = {
        "fitted sessions": len(train_sessions),
        "sessions of early stopping": len(valid_sessions),
    }
    bad = {
        "fitted sessions that the training log does not hold": _foreign(
            train_sessions, train_log, catalog, rules
        ),
        "sessions of early stopping that the validation log does not hold": _foreign(
            valid_sessions, valid_log, catalog, rules
        ),
    }
    if valid_log is not None:
        numbers["validation sessions compared"] = len(valid_log.session_ids)
        bad["validation sessions in the training log"] = _shared(valid_log, train_log, rules)
    if test is not None:
        numbers["test sessions compared"] = len(test.session_ids)
        bad["test sessions in the training log"] = _shared(test, train_log, rules)
        if valid_log is not None:
            bad["test sessions in the validation log"] = _shared(test, valid_log, rules)
    found = [f"{count:,} {what}" for what, count in bad.items() if count]
    if found:
        return Check(
            "failed",
            f"there are {', '.join(found)}: fit on train sessions only, and split anew",
            {**numbers, **bad},
        )
    if test is None:
        return Check("not checked", "test sessions not checked: no test split", {**numbers, **bad})
    return Check(
        "passed",
        f"none of {len(test.session_ids):,} test sessions was fitted",
        {**numbers, **bad},
    )


def _foreign(
    sessions: Ragged, log: SessionLog | None, catalog: Catalog, rules: SessionRules
) -> int:
    """How many of the sessions are not of the log; one that comes twice must be there twice."""
    held = Counter(() if log is None else _sequences(log.training_sessions(catalog, rules)))
    return sum((Counter(_sequences(sessions)) - held).values())


def _sequences(sessions: Ragged) -> Iterator[bytes]:
    for a, b in zip(sessions.offsets[:-1].tolist(), sessions.offsets[1:].tolist(), strict=True):
        yield sessions.rows[a:b].tobytes() + sessions.ts[a:b].tobytes()


def _shared(held_out: SessionLog, fitted: SessionLog, rules: SessionRules) -> int:
    """How many sessions of ``held_out`` are in ``fitted`` as well."""
    known = {key for _, key in _keys(fitted, rules)}
    return len({session for session, key in _keys(held_out, rules) if key in known})


def _keys(log: SessionLog, rules: SessionRules) -> Iterator[tuple[int, Hashable]]:
    items = np.array(log.item_ids, object)[log.item].tolist()
    if rules.as_given:
        cuts = np.searchsorted(log.session, np.arange(len(log.session_ids) + 1)).tolist()
        for s, name in enumerate(log.session_ids):
            yield s, (name, *items[cuts[s] : cuts[s + 1]])
        return
    names = np.array(log.session_ids, object)[log.session].tolist()
    types = np.array(log.type_names, object)[log.type].tolist()
    sessions, times = log.session.tolist(), log.ts.tolist()
    yield from zip(sessions, zip(names, items, times, types, strict=True), strict=True)
