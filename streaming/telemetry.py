"""Prometheus metrics of the daemon. The hot loop counts in plain integers, read at scrape time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from streaming.accounting import TERMS
from streaming.health import Health
from streaming.http_server import HttpServer
from streaming.pipeline import Partition, Pipeline

#: Parts of one round of the loop; ``batch`` is all of them but the poll and the commit.
STAGES = ("contexts", "recommend", "send", "flush", "commit", "batch")

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Telemetry(Collector):
    """What the daemon shows of itself.

    Args:
        pipeline: holds the counts.
        health: whether the daemon lives and is ready.
        http: counts its answers; None where it is off.
    """

    def __init__(self, pipeline: Pipeline, health: Health, http: HttpServer | None) -> None:
        self._pipeline = pipeline
        self._health = health
        self._http = http
        #: The partitions that are ours, by number.
        self.partitions = health.partitions
        self.rebalances = {"assigned": 0, "revoked": 0, "lost": 0}
        self._gone = {"forgotten": 0, "sessions_cap": 0, "bytes_cap": 0}
        #: A scrape, on a thread of its own, must not meet a partition between there and gone.
        self._leaving = threading.Lock()
        self.registry = CollectorRegistry()
        stages = Histogram(
            "session_rec_stage_seconds",
            "Duration of the parts of one round",
            ["stage"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self.age = Histogram(
            "session_rec_oldest_record_age_seconds",
            "Age of the oldest record of a poll, by its Kafka timestamp, when its batch was done",
            buckets=(*_BUCKETS, 30, 60, 300),
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Observes how long the block took."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._stages[stage].observe(time.perf_counter() - begin)

    def left(self, number: int, partition: Partition) -> None:
        """Takes out a partition that is ours no more, and keeps its counts."""
        with self._leaving:
            _add_gone(self._gone, partition)
            self.partitions.pop(number, None)

    def collect(self) -> Iterator[Any]:
        """The metrics that are read from plain counts."""
        accounts, notices = self._pipeline.accounts, self._pipeline.notices
        yield CounterMetricFamily(
            "session_rec_records_consumed",
            "Records taken with emission on",
            value=accounts.consumed,
        )
        fates = CounterMetricFamily(
            "session_rec_records", "Where they went; adds up to records_consumed", labels=["fate"]
        )
        for term in TERMS:
            fates.add_metric([term], getattr(accounts, term))
        yield fates
        for name, value in asdict(notices).items():
            yield CounterMetricFamily(f"session_rec_{name}", name.replace("_", " "), value=value)
        rebalances = CounterMetricFamily(
            "session_rec_rebalances", "Changes of assignment", labels=["kind"]
        )
        for kind, value in self.rebalances.items():
            rebalances.add_metric([kind], value)
        yield rebalances
        yield from self._partition_metrics()
        yield from self._service_metrics()
        recommender = self._pipeline.recommender
        yield InfoMetricFamily(
            "session_rec_model",
            "The model that serves",
            value={
                "fingerprint": recommender.fingerprint,
                "kind": recommender.predictor.kind,
                "items": str(len(recommender.catalog)),
            },
        )

    def _service_metrics(self) -> Iterator[Any]:
        slates, health = self._pipeline.slates, self._health
        yield CounterMetricFamily(
            "session_rec_clicks_asked",
            "Clicks whose session had a slate, made before the click",
            value=slates.asked,
        )
        yield CounterMetricFamily(
            "session_rec_clicks_hit", "Those whose item stood in that slate", value=slates.hits
        )
        yield GaugeMetricFamily(
            "session_rec_slates_kept",
            "Newest slates held for /sessions/ID/recommendations",
            value=len(slates),
        )
        yield GaugeMetricFamily("session_rec_ready", "1 where /readyz says so", value=health.ready)
        yield GaugeMetricFamily(
            "session_rec_round_age_seconds",
            "Seconds since the last round of the loop ended",
            value=health.round_age_s,
        )
        answers = CounterMetricFamily(
            "session_rec_http_answers", "HTTP answers", labels=["route", "status"]
        )
        counted = self._http.answers.copy() if self._http else {}
        for (route, status), value in sorted(counted.items()):
            answers.add_metric([route, str(status)], value)
        yield answers

    def _partition_metrics(self) -> Iterator[Any]:
        lag = GaugeMetricFamily(
            "session_rec_lag_records", "Records on the broker not taken yet", labels=["partition"]
        )
        lag_s = GaugeMetricFamily(
            "session_rec_lag_seconds",
            "Age of the oldest record not taken yet, at most",
            labels=["partition"],
        )
        live = GaugeMetricFamily("session_rec_sessions", "Live sessions", labels=["partition"])
        rebuilding = GaugeMetricFamily(
            "session_rec_rebuilding", "1 while contexts are rebuilt", labels=["partition"]
        )
        size = GaugeMetricFamily(
            "session_rec_state_bytes", "Memory of the live sessions", labels=["partition"]
        )
        with self._leaving:
            gone, ours = dict(self._gone), self.partitions.copy()
        for number, partition in sorted(ours.items()):
            label = [str(number)]
            lag.add_metric(label, partition.lag)
            if (age_s := lag_seconds(partition, time.time())) is not None:
                lag_s.add_metric(label, age_s)
            live.add_metric(label, len(partition.contexts))
            rebuilding.add_metric(label, int(partition.rebuilding))
            size.add_metric(label, partition.contexts.bytes)
            _add_gone(gone, partition)
        yield from (lag, lag_s, live, size, rebuilding)
        dropped = CounterMetricFamily(
            "session_rec_sessions_dropped",
            "Sessions that left the memory: forgotten by stream time, or given up above a cap",
            labels=["reason"],
        )
        for reason, value in gone.items():
            dropped.add_metric([reason], value)
        yield dropped


def lag_seconds(partition: Partition, now_s: float) -> float | None:
    """Age of the oldest record that is not taken yet, in seconds, at most; 0 where there is none.

    That record itself is still on the broker. It is no older than the last one taken, and, as it
    came after, no older than the moment at which nothing was left to take. None before anything is
    known of either.
    """
    if not partition.lag:
        return 0.0
    since_ms = max(partition.taken_ms, partition.caught_up_ms)
    return max(now_s - since_ms / 1000, 0.0) if since_ms > 0 else None


def _add_gone(gone: dict[str, int], partition: Partition) -> None:
    gone["forgotten"] += partition.contexts.forgotten
    gone["sessions_cap"] += partition.contexts.evicted_sessions
    gone["bytes_cap"] += partition.contexts.evicted_bytes
