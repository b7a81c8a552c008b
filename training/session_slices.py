"""Sessions of a log in the order in which they ended, and stretches of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from session_rec.event_log import SessionLog
from session_rec.sessions import SessionRules, session_begins


def in_order_of_ends(
    log: SessionLog, rules: SessionRules
) -> tuple[SessionLog, NDArray[np.int64], NDArray[np.int64]]:
    """The log's sessions in order of their ends; int64 [S] their first and last times.

    Under rules with a gap, the sessions that a gap begins are sessions of their own.

    >>> from session_rec.toy import toy_log
    >>> log, begins, ends = in_order_of_ends(toy_log("fig pear plum", "pear"), SessionRules())
    >>> log.session_ids, ends
    (('s1', 's0'), array([     0, 120000]))
    """
    starts = np.flatnonzero(session_begins(log.session, log.ts, rules))
    lengths = np.diff(np.append(starts, len(log)))
    # Sessions that are taken as given need not be in time order within.
    ends = np.maximum.reduceat(log.ts, starts)
    begins = np.minimum.reduceat(log.ts, starts)
    order = np.argsort(ends, kind="stable")
    taken = lengths[order]
    first = np.cumsum(taken) - taken
    events = np.repeat(starts[order] - first, taken) + np.arange(len(log))
    owner = log.session[starts[order]].tolist()
    ordered = replace(
        log,
        session_ids=tuple(log.session_ids[s] for s in owner),
        session=np.repeat(np.arange(len(order)), taken),
        item=log.item[events],
        ts=log.ts[events],
        type=log.type[events],
        seq=log.seq[events],
        features={name: values[events] for name, values in log.features.items()},
    )
    return ordered, begins[order], ends[order]


def session_slice(log: SessionLog, first: int, end: int, fingerprint: str) -> SessionLog:
    """The sessions ``first`` to ``end - 1`` of a log, with the items that they hold.

    >>> from session_rec.toy import toy_log
    >>> log = session_slice(toy_log("fig pear", "plum"), 1, 2, "")
    >>> log.session_ids, log.item_ids
    (('s1',), ('plum',))
    """
    a, b = np.searchsorted(log.session, (first, end)).tolist()
    items, item = np.unique(log.item[a:b], return_inverse=True)
    return replace(
        log,
        session_ids=log.session_ids[first:end],
        session=log.session[a:b] - first,
        item_ids=tuple(log.item_ids[i] for i in items.tolist()),
        item=item.astype(np.int32),
        ts=log.ts[a:b],
        type=log.type[a:b],
        seq=log.seq[a:b],
        features={name: values[a:b] for name, values in log.features.items()},
        fingerprint=fingerprint,
    )
