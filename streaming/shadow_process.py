"""The process of the shadow: ``python -m streaming.shadow_process``, started by the daemon.

Frames of contexts come on standard input, figures go to standard output. It ends when its input
does. Whatever happens to it, the daemon only counts.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer

from session_rec.errors import BundleError, UserError
from session_rec.policy import Policy
from session_rec.probe import load_probed
from session_rec.recommender import Recommender
from session_rec.slates import Slates
from streaming.kafka_clients import make_admin, make_producer
from streaming.logs import set_up_logging
from streaming.messages import SCHEMA_VERSION, Prediction, encode_prediction
from streaming.preflight import check_topics
from streaming.shadow_frames import BUCKETS, Asked, Figures, Setup, frame, read_frames

log = logging.getLogger("streaming.shadow")

#: Added to the process's niceness: where the machine is busy, the daemon goes first.
_NICE = 10

#: Seconds at the end for what is on its way to the brokers.
_CLOSE_S = 2.0


class Challenger:
    """Scores contexts, sends its slates, and compares them with what was shown."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        policy = Policy(setup.exclude_seen, frozenset(setup.blocked_items))
        self._model = load_probed(setup.directory, policy, setup.k)
        if self._model.rules.fingerprint != setup.rules:
            raise BundleError(
                f"{setup.model}: its session rules are not those that contexts are cut by: its "
                "slates would not be those that it is evaluated with"
            )
        admin = make_admin(setup.cluster)
        try:
            check_topics(admin, setup.cluster.servers, (setup.topic,))
        finally:
            admin.close()
        self._producer: KafkaProducer = make_producer(
            setup.cluster, linger_ms=50, max_block_ms=1000
        )
        kind = self._model.predictor.kind
        self.figures = Figures(fingerprint=self._model.fingerprint, kind=kind)

    def answer(self, asked: Sequence[Asked]) -> None:
        """Answers a batch; what goes wrong is counted."""
        begin = time.perf_counter()
        try:
            slates = ask(self._model, asked, self._setup.k)
        except Exception as error:
            if not self.figures.errors:
                log.error("the shadow cannot answer (%s: %s)", type(error).__name__, error)
            self.figures.errors += len(asked)
            return
        took = time.perf_counter() - begin
        self.figures.seconds += took
        self.figures.batches[bisect_left(BUCKETS, took)] += 1
        emitted_at = time.time_ns() // 1_000_000
        for b, question in enumerate(asked):
            items = slates.items(b)
            compare(self.figures, items, question.shown)
            message = Prediction(
                SCHEMA_VERSION,
                question.id,
                question.session_id,
                question.ts,
                emitted_at,
                self._model.fingerprint,
                items,
                slates.scores[b, : len(items)].tolist(),
                int(slates.known[b]),
                bool(slates.fallback[b]),
                question.in_order,
            )
            self._send(question.session_id.encode(), encode_prediction(message))

    def close(self) -> None:
        """Gives what is on its way two seconds."""
        self._producer.close(timeout=_CLOSE_S)

    def _send(self, key: bytes, value: bytes) -> None:
        try:
            future = self._producer.send(self._setup.topic, key=key, value=value)
            future.add_errback(self._failed)
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Any) -> None:
        if not self.figures.errors:
            log.error("a slate of the shadow could not be sent: %s", error)
        self.figures.errors += 1


def ask(model: Recommender, asked: Sequence[Asked], k: int) -> Slates:
    """The challenger's slates for contexts as the daemon cut them."""
    inputs = model.predictor.inputs
    return model.recommend_many(
        model.encode(
            [a.items for a in asked],
            [a.clocks for a in asked] if "ts" in inputs else None,
            [a.types for a in asked] if "types" in inputs else None,
        ),
        k,
    )


def compare(figures: Figures, items: Sequence[str], shown: Sequence[str]) -> None:
    """Adds the agreement of two slates.

    >>> figures = Figures()
    >>> compare(figures, ["a", "b", "c"], ["a", "c", "d", "e"])
    >>> figures.overlap, figures.top_1, figures.slates
    (0.5, 1, 1)
    """
    longer = max(len(items), len(shown))
    figures.slates += 1
    figures.overlap += len(set(items) & set(shown)) / longer if longer else 1.0
    figures.top_1 += list(items[:1]) == list(shown[:1])


def main() -> None:
    """Runs until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.nice(_NICE)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    setup = next(read_frames(source, Setup), None)
    if setup is None:
        return
    set_up_logging(setup.log_level, setup.log_format)
    try:
        challenger = Challenger(setup)
    except UserError as error:
        log.error("no shadow: %s", error)
        sys.exit(2)
    log.info("shadow %s (%s) scores", challenger.figures.fingerprint, setup.model)
    try:
        for asked in read_frames(source, list[Asked]):
            challenger.answer(asked)
            sink.write(frame(challenger.figures))
            sink.flush()
    except BrokenPipeError:
        pass  # the daemon is gone
    finally:
        challenger.close()


if __name__ == "__main__":
    main()
