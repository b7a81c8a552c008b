"""Shows chosen sessions click by click, with the predictions beside them, as they arrive."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from session_rec.catalog import Catalog
from session_rec.event_log import SessionLog
from session_rec.schedule import Schedule
from session_rec.sessions import SessionRules, scored_positions
from streaming.messages import Prediction

SHOWN_ITEMS = 5  #: of each slate


def choose_sessions(
    log: SessionLog, plan: Schedule, catalog: Catalog, rules: SessionRules, count: int
) -> list[int]:
    """Session indices: the first ones to play that do not overlap, have 5 to 9 events without a
    gap, and whose items are known by name.
    """
    rows = catalog.rows(log.item_ids)[log.item]
    continues = np.zeros(len(log), bool)
    continues[scored_positions(log.session, log.ts, rules) + 1] = True
    first = np.searchsorted(log.session, np.arange(len(log.session_ids) + 1))
    place = np.empty(len(log), np.int64)
    place[plan.order] = np.arange(len(log))
    chosen: list[int] = []
    free_from = -1
    for s in log.session[plan.order[np.isin(plan.order, first)]].tolist():
        if len(chosen) == count:
            break
        begin, end = int(first[s]), int(first[s + 1])
        if not 5 <= end - begin <= 9 or not continues[begin + 1 : end].all():
            continue
        if (rows[begin:end] < 0).any() or place[begin] <= free_from:
            continue
        chosen.append(s)
        free_from = int(place[end - 1])
    return chosen


class Unfolding:
    """Prints the clicks of chosen sessions when their predictions come."""

    def __init__(
        self, log: SessionLog, sessions: list[int], catalog: Catalog, console: Console
    ) -> None:
        self._log, self._catalog, self._console = log, catalog, console
        first = np.searchsorted(log.session, np.arange(len(log.session_ids) + 1))
        #: (session id, ts) -> events in order; equal times of one session are told apart by order.
        self._waiting: dict[tuple[str, int], list[int]] = {}
        for s in sessions:
            for p in range(int(first[s]), int(first[s + 1])):
                self._waiting.setdefault((log.session_ids[s], int(log.ts[p])), []).append(p)
        self._events = sorted(p for ps in self._waiting.values() for p in ps)
        self._first = {int(first[s]) for s in sessions}
        self._slate: list[str] = []
        self._lock = threading.Lock()

    def pauses(self, plan: Schedule) -> NDArray[np.bool_]:
        """bool [T], in play order: which events are shown, and wait for the reader's eye."""
        return np.isin(plan.order, self._events)

    def __call__(self, prediction: Prediction) -> None:
        """Prints the event of ``prediction`` if its session is shown."""
        with self._lock:
            events = self._waiting.get((prediction.session_id, prediction.ts))
            if events:
                self._print(events.pop(0), prediction)

    def _print(self, p: int, prediction: Prediction) -> None:
        log, say = self._log, self._console.print
        item = log.item_ids[log.item[p]]
        if p in self._first:
            traits = [str(v[p]) for v in log.features.values() if v[p] is not None]
            say(Text(f"\nshopper {prediction.session_id} ({', '.join(traits)})", style="bold"))
            self._slate = []
        line = Text(f"  {log.type_names[log.type[p]]:<9}", style="cyan")
        line.append(self._name(item), style="bold")
        if item in self._slate:
            rank = self._slate.index(item) + 1
            line.append(f"  predicted at rank {rank}", style="green" if rank <= 5 else "yellow")
        elif self._slate:
            line.append("  not among the 20", style="red")
        say(line)
        for rank, shown in enumerate(prediction.items[:SHOWN_ITEMS], 1):
            say(Text(f"      {rank}. {self._name(shown)}", style="dim"))
        self._slate = prediction.items

    def _name(self, item: str) -> str:
        row = self._catalog.row(item)
        return self._catalog.name(row) if row >= 0 else f"{item} (unknown to the model)"
