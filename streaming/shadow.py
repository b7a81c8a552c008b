"""The daemon's side of a shadow: a challenger that answers the same contexts without being shown.

It scores in a process of its own, so that neither its time nor its memory nor its end is the
daemon's. Contexts go there through a pipe that is never waited for: what does not fit is dropped
and counted.
"""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from session_rec.events import type_code
from session_rec.sessions import SessionRules
from session_rec.signals import signals_held_back
from session_rec.slates import Slates
from streaming.config import StreamConfig
from streaming.pipeline import Pipeline, Question
from streaming.shadow_frames import BUCKETS, Asked, Figures, Setup, frame, read_frames

log = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-m", "streaming.shadow_process")

#: Bytes that the pipe to the process holds: what a challenger may be behind before it misses some.
_PIPE_BYTES = 2**20

#: Seconds for the process to end when its input has ended.
_END_S = 5.0


def begin_shadow(
    config: StreamConfig, rules: SessionRules, pipeline: Pipeline, registry: CollectorRegistry
) -> Callable[[], None]:
    """Shows the pipeline's contexts to a shadow, if there shall be one; returns how to end it."""
    if config.shadow is None:
        return lambda: None
    try:
        shadow = Shadow(config, rules)
    except OSError as error:
        log.error("no shadow, its process cannot be started: %s", error)
        return lambda: None
    pipeline.shadow = shadow.offer
    registry.register(shadow)
    return shadow.close


class Shadow(Collector):
    """Starts the process and hands it contexts.

    Args:
        config: the daemon's settings, with a ``shadow``.
        rules: what contexts are cut by.
        command: the process.

    Attributes:
        handed_over, dropped: contexts that it got, and that it did not get.
        figures: what it counted, as it last told.
    """

    def __init__(
        self, config: StreamConfig, rules: SessionRules, command: Sequence[str] = _COMMAND
    ) -> None:
        self.dropped = self.handed_over = 0
        self.figures = Figures()
        self._pending = b""
        self._told = False
        with signals_held_back():
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
        assert self._process.stdin is not None
        self._to = self._process.stdin.fileno()
        os.set_blocking(self._to, False)
        with suppress(OSError, AttributeError):  # beyond the user's limit, or not on Linux
            fcntl.fcntl(self._to, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            self._write(frame(_setup(config, rules)))
        except OSError as error:
            self._tell(error)
        threading.Thread(target=self._listen, name="shadow", daemon=True).start()

    def offer(self, questions: Sequence[Question], slates: Slates) -> None:
        """Hands over contexts with the slates that are shown; drops them where there is no room."""
        try:
            if self._pending:
                self._write(b"")
            if self._pending:
                self.dropped += len(questions)
                return
            self._write(frame(_asked(questions, slates)))
            self.handed_over += len(questions)
        except Exception as error:
            self.dropped += len(questions)
            self._tell(error)

    def close(self) -> None:
        """Ends the process: it answers what it has, for at most five seconds."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def collect(self) -> Iterator[Any]:
        """Its metrics."""
        found = self.figures
        yield InfoMetricFamily(
            "session_rec_shadow",
            "The model that scores without being shown",
            value={"fingerprint": found.fingerprint, "kind": found.kind},
        )
        for name, text, value in (
            ("contexts", "Contexts that were handed to the shadow", self.handed_over),
            ("slates", "Of these, those that it answered so far", found.slates),
            ("overlap", "Sum over them of the share of items that the shown slate has too",
             found.overlap),
            ("top_1", "Of these, those whose first item is that of the shown slate", found.top_1),
            ("errors", "Contexts not answered, and slates not delivered", found.errors),
            ("dropped", "Contexts that it did not get: it is behind, or gone", self.dropped),
        ):  # fmt: skip
            yield CounterMetricFamily(f"session_rec_shadow_{name}", text, value=value)
        total, buckets = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), found.batches, strict=True):
            total += count
            buckets.append((bound, float(total)))
        yield HistogramMetricFamily(
            "session_rec_shadow_batch_seconds",
            "Scoring time of a batch in the shadow",
            buckets=buckets,
            sum_value=found.seconds,
        )

    def _tell(self, error: Exception) -> None:
        if not self._told:
            log.error("the shadow gets no more contexts (%s)", error)
        self._told = True

    def _write(self, data: bytes) -> None:
        """Writes what fits; the rest of a frame waits for the next call.

        Raises:
            OSError: the process is gone.
        """
        data = self._pending + data
        try:
            while data:
                data = data[os.write(self._to, data) :]
        except BlockingIOError:
            pass
        self._pending = data

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with open(self._process.stdout.fileno(), "rb", closefd=False) as stream:
            for figures in read_frames(stream, Figures):
                self.figures = figures


def _setup(config: StreamConfig, rules: SessionRules) -> Setup:
    return Setup(
        str(config.shadow),
        config.kafka.model_dump_json(),
        config.topics.shadow,
        config.k,
        config.exclude_seen,
        list(config.blocked_items),
        rules.fingerprint,
        config.log_level,
        config.log_format,
    )


def _asked(questions: Sequence[Question], slates: Slates) -> list[Asked]:
    return [
        Asked(
            q.id,
            q.session_id,
            q.ts,
            q.in_order,
            [e.item for e in q.context],
            [e.clock for e in q.context],
            [type_code(e.type) for e in q.context],
            slates.items(b),
        )
        for b, q in enumerate(questions)
    ]
