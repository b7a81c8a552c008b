"""A partition driven by hand, poll by poll, without Kafka: the state alone."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import asdict

from naive_stream import Click, NaiveStream, Record, Semantics
from toy_model import K, recommender, session_rules

from session_rec.sessions import Entry
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.dead_letters import DeadLetters
from streaming.pipeline import Partition, Pipeline, Question

_model = functools.lru_cache(recommender)


def context_settings(how: Semantics, checkpoint_every: int = 1, **more: int) -> ContextSettings:
    return ContextSettings(
        session_rules(how),
        how.lateness,
        pairs_idle_ms=how.idle,
        bot_span_ms=how.bot_span,
        checkpoint_every=checkpoint_every,
        **more,
    )


class OnePartition:
    """What is kept of a process over restarts: only what stands beside the committed offset."""

    def __init__(
        self,
        how: Semantics,
        log: list[Record],
        checkpoint_every: int = 1,
        conflate_lag: int | None = None,
        **more: int,
    ) -> None:
        self.log = log
        self.settings = context_settings(how, checkpoint_every, **more)
        self.pipeline = Pipeline(
            _model(how),
            DeadLetters("dead", 10_000),
            "predictions",
            k=K,
            micro_batch=3,
            max_future_skew_ms=how.skew,
            conflate_lag=conflate_lag,
        )
        first = log[0].offset if log else 0
        self.committed: tuple[int, int, int | None] = (first, first, None)
        self.restart()

    def restart(self) -> None:
        """The process is gone; the next one has what was committed."""
        offset, rebuild_from, stream_time = self.committed
        self.contexts = PartitionContexts(self.settings, rebuild_from, stream_time)
        self.partition = Partition("events-0", self.contexts, offset, offset)

    @property
    def left(self) -> list[Record]:
        return [r for r in self.log if r.offset >= self.contexts.next_offset]

    def poll(self, size: int) -> list[Question]:
        """Hands over the next ``size`` records."""
        return self.take(self.left[:size])

    def take(self, records: list[Record]) -> list[Question]:
        questions, letters = self.pipeline.take(self.partition, records)
        accounts = self.pipeline.accounts
        assert accounts.consumed == accounts.accounted
        self.letters = [int(dict(letter.headers)["session-rec.offset"]) for letter in letters]
        return questions

    def commit(self) -> None:
        if self.contexts.next_offset > self.committed[0]:
            self.committed = (self.contexts.next_offset, *self.contexts.rebuild_from())

    def terms(self) -> Counter[str]:
        """The account, without what is zero."""
        return +Counter(asdict(self.pipeline.accounts))


def terms_of(stream: NaiveStream, records: list[Record]) -> Counter[str]:
    """The account that the naive stream gives for these records."""
    fates = Counter(stream.verdicts[r.offset].fate for r in records)
    return +(fates + Counter(consumed=len(records)))


def entries(context: list[Entry] | tuple[Click, ...]) -> list[tuple[str, int, str]]:
    """A context of either kind, in words that both know."""
    return [(e.item, e.clock if isinstance(e, Entry) else e.ts, e.type) for e in context]


def check_question(question: Question, stream: NaiveStream) -> None:
    """The question is the one that its record must raise."""
    verdict = stream.verdicts[int(question.id.rsplit("-", 1)[1])]
    assert verdict.fate == "emitted"
    assert (question.session_id, question.ts) == (verdict.session, verdict.ts)
    assert question.in_order == verdict.in_order
    assert entries(question.context) == entries(verdict.context)


def check_live(contexts: PartitionContexts, stream: NaiveStream, log: list[Record]) -> None:
    """The contexts held, and no others, are those that could still be extended."""
    seen = [r.offset for r in log if r.offset < contexts.next_offset]
    if not seen:
        return
    assert contexts.stream_time == stream.time[seen[-1]]
    found = {s: entries(contexts.context(s)) for s in contexts.snapshot()}
    assert found == {s: entries(c) for s, c in stream.live[seen[-1]].items()}
