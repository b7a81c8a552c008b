"""Joins clicks to the slates that were there before them, session by session.

A click is an event that was the newest of its session when it came (``in_order``) and got a
prediction itself. It is compared with the session's last prediction before it, by event offset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from session_rec.experiment_arms import Arm
from streaming.event_columns import EventColumns
from streaming.messages import Prediction

#: Why no click was compared with a slate.
REASONS = ("ended", "paused", "replaced", "gone")


@dataclass(slots=True)
class ArmedSession:
    """What became of a session's slates, within the window from its first slate in an arm.

    Attributes:
        arm: of its first slate.
        source, first: partition and offset of that one's event.
        begin: that event's time, milliseconds.
        newest: time of its newest event, milliseconds.
        last: offset of the event of its last prediction.
        slates: predictions in an arm.
        fallbacks: of these, popular ones.
        ranks: per click that was compared, the place of its item in the slate; 0 for none.
        unjoined: slates without such a click, by reason: ``paused``: the next click began a new
            session; ``replaced``: an event out of order gave a newer slate; ``gone``: the events
            topic does not hold the click any more. The rest ``ended``: none came in the window.
        mixed: it has slates of both arms.
        shown: the last slate, which waits for a click.
    """

    arm: Arm
    source: str
    first: int
    begin: int
    newest: int
    last: int = -1
    slates: int = 0
    fallbacks: int = 0
    ranks: list[int] = field(default_factory=list)
    unjoined: Counter[str] = field(default_factory=Counter)
    mixed: bool = False
    shown: list[str] | None = None

    @property
    def outcomes(self) -> Counter[str]:
        """Slates by what became of them: ``joined`` or one of :data:`REASONS`; adds up."""
        found = Counter(self.unjoined)
        found["joined"] = len(self.ranks)
        found["ended"] = self.slates - found.total()
        return found


class SlateJoins:
    """Takes predictions, those of one session in the order in which they were sent.

    Args:
        experiment: its name; other predictions are no slates of it.
        events: the events topic.
        window_ms: for so long after its first slate a session is looked at.
        pause_ms: a longer one ends a session; None under rules that have no clock.

    Attributes:
        sessions: by id.
        predictions: how many were taken.
        repeated: of these, those of an event that had one: a crash makes them.
        elsewhere: those of sessions whose events come by several partitions.
        models: slates by arm and model.
    """

    def __init__(
        self, experiment: str, events: EventColumns, window_ms: int, pause_ms: int | None
    ) -> None:
        self._experiment = experiment
        self._events = events
        self._window_ms = window_ms
        self._pause_ms = pause_ms
        self._answered: dict[str, tuple[int, int]] = {}
        self.sessions: dict[str, ArmedSession] = {}
        self.predictions = self.repeated = self.elsewhere = 0
        self.models: Counter[tuple[Arm, str]] = Counter()

    def take(self, prediction: Prediction) -> None:
        """Takes the next one."""
        self.predictions += 1
        source, _, digits = prediction.id.rpartition("-")
        offset = int(digits)
        last, newest = self._answered.get(source, (-1, -1))
        self._answered[source] = max(last, offset), max(newest, prediction.ts)
        arm = prediction.arm if prediction.experiment == self._experiment else None
        session = self.sessions.get(prediction.session_id)
        if session is None:
            if not arm:
                return
            begin = prediction.ts
            session = ArmedSession(arm, source, offset, begin, begin)
            self.sessions[prediction.session_id] = session
        elif source != session.source:
            self.elsewhere += 1
            return
        elif offset <= session.last:
            self.repeated += 1
            return
        session.last = offset
        inside = prediction.ts <= session.begin + self._window_ms
        if session.shown is not None and inside:
            self._compare(session, session.shown, prediction.in_order, prediction.ts, offset)
        session.newest = max(session.newest, prediction.ts)
        session.shown = None
        if arm and inside:
            session.shown = prediction.items
            session.slates += 1
            session.fallbacks += prediction.fallback
            session.mixed |= arm != session.arm
            self.models[arm, prediction.model] += 1

    def _compare(
        self, session: ArmedSession, shown: Sequence[str], in_order: bool, ts: int, offset: int
    ) -> None:
        if not in_order:
            session.unjoined["replaced"] += 1
            return
        if self._pause_ms is not None and ts - session.newest > self._pause_ms:
            session.unjoined["paused"] += 1
            return
        item = self._events.item(session.source, offset)
        if item is None:
            session.unjoined["gone"] += 1
        else:
            session.ranks.append(shown.index(item) + 1 if item in shown else 0)

    @property
    def answered_until(self) -> int:
        """Event time up to which everything is answered, milliseconds; -1 without predictions.

        The newest of an answered event; or less, where a partition has newer ones to come.
        """
        held = [
            newest
            for source, (last, newest) in self._answered.items()
            if self._events.newer(source, last, newest)
        ]
        return min(held) if held else max((n for _, n in self._answered.values()), default=-1)

    def kept(self) -> Iterator[ArmedSession]:
        """The sessions that were not erased."""
        erased = self._events.erased
        return (session for name, session in self.sessions.items() if name not in erased)

    def complete(self, until: int) -> list[ArmedSession]:
        """The sessions whose window ended by ``until`` (event time, milliseconds), in the order in
        which they began, which the draw has no part in."""
        found = [s for s in self.kept() if s.begin + self._window_ms <= until]
        return sorted(found, key=lambda s: (s.begin, s.source, s.first))
