"""When recorded events happen again: one order and one clock for every kind of replay."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from session_rec.event_log import SessionLog


@dataclass(frozen=True)
class Schedule:
    """The events of a log in the order they are played.

    Attributes:
        order: int64 [T], indices into the log, in play order.
        clock: int64 [T], event time of each, milliseconds; never runs backwards.
        at: float64 [T], seconds after the start at which each is due; never runs backwards.

    >>> from session_rec.toy import toy_log
    >>> plan = schedule(toy_log("pear plum fig"), rate=1)
    >>> plan.with_pauses(np.array([False, True, False]), seconds=10).at
    array([ 0., 11., 12.])
    """

    order: NDArray[np.int64]
    clock: NDArray[np.int64]
    at: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.order)

    def with_pauses(self, before: NDArray[np.bool_], seconds: float) -> Schedule:
        """The same, with so many seconds more before each event where ``before`` (bool [T], in
        play order) is true.
        """
        return replace(self, at=self.at + np.cumsum(before) * seconds)


def schedule(log: SessionLog, speed: float | None = None, rate: float | None = None) -> Schedule:
    """All events of ``log`` by event time, ties in the order of the log.

    Within a session the order of the log is kept even where its ``ts`` runs backwards (sessions
    taken as given): such an event comes right after the one before it.

    Args:
        speed: recorded seconds that pass in one second.
        rate: events per second at even distances, instead of the recorded rhythm. Without either,
            everything is due at once.

    >>> from session_rec.toy import toy_log
    >>> log = toy_log("pear plum fig", "plum pear")  # both from 0, a minute between clicks
    >>> schedule(log).order
    array([0, 3, 1, 4, 2])
    >>> schedule(log, speed=60).at, schedule(log, rate=2).at
    (array([0., 0., 1., 1., 2.]), array([0. , 0.5, 1. , 1.5, 2. ]))
    """
    clock = log.ts.copy()
    firsts = np.flatnonzero(np.diff(log.session, prepend=-1))
    for begin, end in zip(firsts, np.append(firsts[1:], len(log)), strict=True):
        np.maximum.accumulate(clock[begin:end], out=clock[begin:end])
    order = np.argsort(clock, kind="stable")
    clock = clock[order]
    if rate is not None:
        at = np.arange(len(log)) / rate
    elif speed is not None:
        at = (clock - clock[0]) / 1000.0 / speed
    else:
        at = np.zeros(len(log))
    return Schedule(order, clock, at)
