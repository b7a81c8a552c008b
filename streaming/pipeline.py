"""Records in, outputs out: decode, contexts, slates. Knows nothing of Kafka's network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec import UNSET

from session_rec.events import EventError, decode_event, type_code
from session_rec.experiment_arms import CHALLENGER, Arm
from session_rec.recommender import Recommender
from session_rec.sessions import Entry
from session_rec.slates import Slates
from streaming.accounting import Accounts, Notices
from streaming.contexts import Fate, PartitionContexts
from streaming.dead_letters import DeadLetters
from streaming.experiment import Experiment
from streaming.messages import SCHEMA_VERSION, Prediction, encode_prediction
from streaming.outputs import Output
from streaming.recent_slates import RecentSlates
from streaming.trial import SlateCounts, Trial


@dataclass
class Partition:
    """A partition of the events topic while it is ours.

    Attributes:
        name: ``topic-partition``, the stem of prediction ids.
        contexts: its live sessions.
        emit_from: records before this offset rebuild the contexts and emit nothing.
        committed: the offset committed last.
        lag: records on the broker that are not taken yet.
        taken_ms: Kafka timestamp of the last record taken, 0 before the first.
        caught_up_ms: when ``lag`` was last seen to be 0, by our clock, 0 if never; both in
            milliseconds since 1970-01-01 UTC.
    """

    name: str
    contexts: PartitionContexts
    emit_from: int
    committed: int
    lag: int = 0
    taken_ms: int = 0
    caught_up_ms: int = 0

    def pass_to(self, position: int | None) -> None:
        """Goes on to ``position`` where nothing that can be read lies before it: markers and
        aborted records of transactions take offsets too, and no poll returns them."""
        if position is not None and position > self.contexts.next_offset:
            self.contexts.skip(position - 1)

    def measure(self, end: int, now_ms: int) -> None:
        """Takes note of where the log ends, as of ``now_ms``."""
        self.lag = max(end - self.contexts.next_offset, 0)
        if not self.lag:
            self.caught_up_ms = now_ms

    @property
    def rebuilding(self) -> bool:
        """True while records are read again with emission off."""
        return self.contexts.next_offset < self.emit_from


def recommend(recommender: Recommender, contexts: Sequence[Sequence[Entry]], k: int) -> Slates:
    """A slate of length ``k`` for each context, of which the model gets what it reads."""
    inputs = recommender.predictor.inputs
    return recommender.recommend_many(
        recommender.encode(
            [[e.item for e in c] for c in contexts],
            [[e.clock for e in c] for c in contexts] if "ts" in inputs else None,
            [[type_code(e.type) for e in c] for c in contexts] if "types" in inputs else None,
        ),
        k,
    )


class Question(NamedTuple):
    """An event that gets a prediction, with the context after it.

    ``erased`` where a tombstone follows in the same poll: the slate is sent, but not kept.
    """

    id: str
    session_id: str
    ts: int
    in_order: bool
    context: list[Entry]
    erased: bool = False


@dataclass
class Pipeline:
    """Turns the records of a poll into questions and dead letters, and questions into slates.

    Attributes:
        recommender: the model; another one may take its place between two polls.
        dead_letters: makes dead letters.
        predictions_topic: where slates go.
        k: items per slate.
        micro_batch: contexts scored at once.
        max_future_skew_ms: how far an event may be ahead of its record; None is no check.
        conflate_lag: lag from which only the newest context of a session in a poll is kept; None
            is never.
        slates: keeps the newest slate of each session.
        accounts, notices: what was counted so far.
        turned_out: how the newest slates of this model did.
        trial: of a model that took another one's place; the other one answers where it raises.
        shadow: gets what was asked and what is shown.
        experiment: gives sessions to a challenger.
    """

    recommender: Recommender
    dead_letters: DeadLetters
    predictions_topic: str
    k: int = 20
    micro_batch: int = 64
    max_future_skew_ms: int | None = None
    conflate_lag: int | None = None
    slates: RecentSlates = field(default_factory=lambda: RecentSlates(0, 0))
    accounts: Accounts = field(default_factory=Accounts)
    notices: Notices = field(default_factory=Notices)
    turned_out: SlateCounts = field(default_factory=SlateCounts)
    trial: Trial | None = None
    shadow: Callable[[Sequence[Question], Slates], None] | None = None
    experiment: Experiment | None = None

    def take(
        self, partition: Partition, records: Sequence[Any]
    ) -> tuple[list[Question], list[Output]]:
        """Hands the records of one partition to its contexts, in offset order.

        Returns:
            The questions that they raise, and the dead letters among them.
        """
        contexts, notices = partition.contexts, self.notices
        counted = Accounts()
        questions: list[Question] = []
        letters: list[Output] = []
        row = self.recommender.catalog.row
        skew = self.max_future_skew_ms
        fates = dict.fromkeys(Fate, 0)
        if records:
            partition.taken_ms = records[-1].timestamp
        for record in records:
            offset = record.offset
            if offset < contexts.next_offset:
                notices.redelivered += 1
                continue
            silent = offset < partition.emit_from
            if silent:
                notices.rebuilt += 1
            else:
                counted.consumed += 1
            key, value = record.key, record.value
            if value is None and key is not None:
                # What is no text names no session: it must not become one that it looks like.
                erased = key.decode("utf-8", "surrogateescape")
                contexts.erase(erased, offset)
                self.slates.erase(erased)
                questions = [
                    q._replace(erased=True) if q.session_id == erased else q for q in questions
                ]
                counted.tombstones += not silent
                continue
            try:
                if key is None:
                    raise EventError("null key: the record key must be the session id")
                event = decode_event(value)
                if skew is not None and event.ts > record.timestamp + skew:
                    raise EventError(
                        f"ts {event.ts} is more than {skew} ms after the record's timestamp "
                        f"{record.timestamp}"
                    )
            except EventError as e:
                contexts.skip(offset)
                if not silent:
                    counted.dead_lettered += 1
                    letters.append(self.dead_letters.make(record, str(e)))
                continue
            fate = contexts.add(event, offset)
            if silent:
                continue
            fates[fate] += 1
            session_id = event.session_id
            if key != session_id.encode():
                notices.key_mismatches += 1
            if row(event.item_id) < 0:
                notices.unknown_items += 1
            if fate is Fate.NEWEST or fate is Fate.OUT_OF_ORDER:
                questions.append(
                    Question(
                        f"{partition.name}-{offset}",
                        session_id,
                        event.ts,
                        fate is Fate.NEWEST,
                        contexts.context(session_id),
                    )
                )
        counted.duplicates = fates[Fate.DUPLICATE]
        counted.late = fates[Fate.LATE]
        counted.outside = fates[Fate.OUTSIDE]
        counted.over_cap = fates[Fate.OVER_CAP]
        if self.conflate_lag is not None and partition.lag >= self.conflate_lag:
            newest = {q.session_id: q for q in questions}
            counted.conflated = len(questions) - len(newest)
            questions = list(newest.values())
        counted.emitted = len(questions)
        self.accounts.add(counted)
        return questions, letters

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Output]]:
        """The predictions for the questions, a micro-batch at a time."""
        experiment = self.experiment
        for arm, asked in experiment.split(questions) if experiment else [(None, questions)]:
            for start in range(0, len(asked), self.micro_batch):
                yield self._slates(asked[start : start + self.micro_batch], arm)

    def _recommend(
        self, contexts: Sequence[Sequence[Entry]], arm: Arm | None
    ) -> tuple[Recommender, Slates]:
        """The slates, and the model that gave them."""
        experiment, trial = self.experiment, self.trial
        if experiment is not None and arm == CHALLENGER and not experiment.over:
            try:
                return experiment.challenger, recommend(experiment.challenger, contexts, self.k)
            except Exception as error:
                experiment.failed(error)
        if trial is None:
            return self.recommender, recommend(self.recommender, contexts, self.k)
        if not trial.given_up:
            try:
                return self.recommender, recommend(self.recommender, contexts, self.k)
            except Exception as error:
                trial.failed(error)
                self.notices.scoring_errors += 1
        return trial.previous, recommend(trial.previous, contexts, self.k)

    def _slates(self, questions: Sequence[Question], arm: Arm | None) -> list[Output]:
        recommender, slates = self._recommend([q.context for q in questions], arm)
        if self.shadow is not None:
            self.shadow(questions, slates)
        ids = recommender.catalog.item_ids
        experiment = self.experiment if arm is not None else None
        named = experiment.name if experiment is not None else UNSET
        model, topic = recommender.fingerprint, self.predictions_topic
        emitted_at = time.time_ns() // 1_000_000
        notices = self.notices
        empty = int((slates.rows[:, 0] < 0).sum())
        notices.empty_slates += empty
        if recommender is self.recommender:
            self.turned_out.add(len(questions), int(slates.fallback.sum()), empty)
        outputs = []
        for q, rows, scores, known, fallback in zip(
            questions,
            slates.rows.tolist(),
            slates.scores.tolist(),
            slates.known.tolist(),
            slates.fallback.tolist(),
            strict=True,
        ):
            if rows and rows[-1] < 0:
                shown = rows.index(-1)
                rows, scores = rows[:shown], scores[:shown]
            notices.fallbacks += fallback
            notices.out_of_order += not q.in_order
            message = Prediction(
                SCHEMA_VERSION,
                q.id,
                q.session_id,
                q.ts,
                emitted_at,
                model,
                [ids[r] for r in rows],
                scores,
                known,
                fallback,
                q.in_order,
                named,
                arm or UNSET,
            )
            # Not the event's own key: where that differs it may be as large as a message can be.
            key = q.session_id.encode()
            source = q.id.rpartition("-")[0]
            value = encode_prediction(message)
            outputs.append(Output(topic, key, value, [], source))
            hit = None
            if not q.erased:
                # No slate was made for a click that began its session, or that came out of order.
                clicked = q.context[-1].item if q.in_order and len(q.context) > 1 else None
                hit = self.slates.put(source, q.session_id, q.ts, value, clicked)
            if experiment is not None and arm is not None:
                experiment.clicked(arm, hit)
        return outputs
