"""The daemon: poll -> decode -> contexts -> recommend -> produce -> flush -> commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Container
from dataclasses import asdict
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import FencedInstanceIdError, KafkaError, OffsetOutOfRangeError

from streaming.assignment import Assignment
from streaming.config import StreamConfig
from streaming.contexts import PartitionContexts
from streaming.dead_letters import DeadLetters
from streaming.endings import ending
from streaming.experiment import begin_experiment
from streaming.fencing import FencedInstance, fenced_instance
from streaming.health import Health
from streaming.http_routes import Routes
from streaming.http_server import listen
from streaming.kafka_clients import make_consumer
from streaming.model_swap import ModelSwap
from streaming.notify import Notifier
from streaming.outputs import Output
from streaming.pipeline import Partition, Pipeline, Question
from streaming.positions import Positions
from streaming.preflight import check_cluster
from streaming.recent_slates import RecentSlates
from streaming.shadow import begin_shadow
from streaming.shutdown import Shutdown
from streaming.state_store import StateStore
from streaming.telemetry import Telemetry
from streaming.transactions import make_delivery

log = logging.getLogger(__name__)

#: Longest wait in a poll, milliseconds; a signal is seen within it. Records end the wait at once.
_POLL_MS = 200
#: The same while a snapshot of the state waits for its next step.
_BUSY_POLL_MS = 5


class Daemon:
    """One process of the service; everything happens on the thread that calls :meth:`run`.

    Args:
        config: its settings.

    Raises:
        UserError: the model, the cluster or the topics cannot be used.
    """

    def __init__(self, config: StreamConfig) -> None:
        self._config = config
        # First of all: an address that is taken, or open to strangers, is told at once.
        self._http = listen(config)
        self._models = ModelSwap(config)
        recommender = self._models.first
        self._settings = config.context_settings(recommender.rules)
        if self._settings.rules != recommender.rules:
            log.warning("session rules differ from the model's: what is served was not evaluated")
        largest = check_cluster(config, self._settings.reach_ms)
        dead_letters = DeadLetters(config.topics.dead_letters, largest)
        self.pipeline = Pipeline(
            recommender,
            dead_letters,
            config.topics.predictions,
            k=config.k,
            micro_batch=config.micro_batch,
            max_future_skew_ms=config.max_future_skew_ms,
            conflate_lag=config.conflate_lag if config.conflate else None,
            slates=RecentSlates(
                config.recommendations_cache if self._http else 0, self._settings.forget_after_ms
            ),
        )
        self._health = Health(config.round_limit_s, Notifier())
        self.telemetry = Telemetry(self.pipeline, self._health, self._http)
        if self._http:
            self._http.serve(Routes(self.telemetry.registry, self._health, self.pipeline.slates))
        self._consumer: KafkaConsumer = make_consumer(config)
        self._delivery = make_delivery(config, self._consumer, dead_letters)
        self._assignment = Assignment(self._consumer, config)
        self._positions = Positions(self._consumer, config, self._settings)
        self._state = StateStore(config, self._settings, self._positions, self.pipeline.notices)
        self._partitions: dict[TopicPartition, Partition] = {}
        self._models.start(self.pipeline, self._settings.rules)
        self._waiting = False  # whether a commit was refused
        rules, registry = self._settings.rules, self.telemetry.registry
        begin_experiment(config, rules, self.pipeline, registry)
        self._end_shadow = begin_shadow(config, rules, self.pipeline, registry)
        log.info(
            "model %s (%s, %d items), session rules %s",
            recommender.fingerprint,
            config.model,
            len(recommender.catalog),
            self._settings.rules.to_dict(),
        )

    def run(self, shutdown: Shutdown) -> None:
        """Serves until a signal asks to stop; then everything taken is delivered and committed.

        Raises:
            UserError: records expired unread, or the cluster refuses what we need.
            Fenced: another process took our place.
            DeliveryError: the cluster went away for longer than ``delivery_timeout_s``.
        """
        try:
            shutdown.begin(self._health.stop)
            self._positions.first_commit()
            self._consumer.subscribe([self._config.topics.events], listener=self._assignment)
            while not shutdown.requested:
                try:
                    self._round()
                except FencedInstance:
                    self._assignment.join_anew()
            self._drain()
            self._state.save(self._partitions)
        except KafkaError as e:
            raise ending(e, self._config, self._partitions) from None
        finally:
            self._models.stop()
            self._state.close()
            self._consumer.close(autocommit=False, timeout_ms=5000)
            self._delivery.close(5.0)
            self._end_shadow()
            if self._http:
                self._http.close()
        counts = asdict(self.pipeline.accounts)
        log.info("stopped after %d records: %s", counts.pop("consumed"), counts)

    def _round(self) -> None:
        self._models.turn()
        batch = self._poll()
        self._assignment.finish_join()
        for tp in self._take_changes():
            # Fetched for what it was before: what is ours begins anew where it was told to.
            batch.pop(tp, None)
        self._measure_lag(batch)
        if batch:
            with self.telemetry.timed("batch"):
                self._process(batch)
            self._measure_lag(batch)
        self._commit()
        self._state.after_commit(self._partitions)
        self._health.beat(self._assignment.settled())

    def _drain(self) -> None:
        """Commits what a rebalance kept from being committed, without taking anything more."""
        while any(p.contexts.next_offset > p.committed for p in self._partitions.values()):
            self._consumer.pause(*self._consumer.assignment())
            self._poll()
            self._assignment.finish_join()
            self._take_changes()
            self._commit()
        log.info("stopping: everything taken is committed, leaving the group")

    def _measure_lag(self, batch: Container[TopicPartition]) -> None:
        for tp, partition in self._partitions.items():
            high = self._consumer.highwater(tp)
            if high is None:
                continue
            if tp not in batch and high > partition.contexts.next_offset:
                partition.pass_to(self._consumer.position(tp, timeout_ms=0))
            partition.measure(high, time.time_ns() // 1_000_000)

    def _poll(self) -> dict[TopicPartition, list[Any]]:
        try:
            wait_ms = _BUSY_POLL_MS if self._state.busy else _POLL_MS
            records: dict[TopicPartition, list[Any]] = self._consumer.poll(timeout_ms=wait_ms)
            return records
        except OffsetOutOfRangeError:
            self._after_expiry()
        except FencedInstanceIdError:
            raise fenced_instance(self._config) from None
        except KafkaError as e:
            if not e.retriable:
                raise
            log.warning("poll: %s", e)
            time.sleep(0.5)
        return {}

    def _process(self, batch: dict[TopicPartition, list[Any]]) -> None:
        timed = self.telemetry.timed
        questions: list[Question] = []
        letters: list[Output] = []
        with timed("contexts"):
            for tp, records in batch.items():
                if (partition := self._partitions.get(tp)) is None:
                    continue
                asked, dead = self.pipeline.take(partition, records)
                questions += asked
                letters += dead
        self._delivery.send(letters)
        answers = self.pipeline.answer(questions)
        while True:
            with timed("recommend"):
                outputs = next(answers, None)
            if outputs is None:
                break
            with timed("send"):
                self._delivery.send(outputs)
        with timed("flush"):
            self._delivery.settle()
        oldest = min(records[0].timestamp for records in batch.values())
        self.telemetry.age.observe(max(time.time() - oldest / 1000, 0.0))

    def _commit(self) -> None:
        """Commits what was delivered: this batch, or one before whose commit was refused while its
        partitions stayed ours; until then nothing more is taken, so that a crash repeats one poll.
        """
        self._state.before_commit(self._partitions)
        offsets = {
            tp: self._positions.commit_entry(partition.contexts)
            for tp, partition in self._partitions.items()
            if partition.contexts.next_offset > partition.committed
        }
        refused = False
        if offsets:
            with self.telemetry.timed("commit"):
                refused = not self._delivery.commit(offsets)
        if refused:
            self._consumer.pause(*self._partitions)
        else:
            for tp, entry in offsets.items():
                self._partitions[tp].committed = entry.offset
            if self._waiting:
                self._consumer.resume(*self._partitions)
        self._waiting = refused

    def _take_changes(self) -> set[TopicPartition]:
        """Begins and drops what was assigned and taken away; returns all of these."""
        changed: set[TopicPartition] = set()
        for kind, partitions in self._assignment.changes():
            changed.update(partitions)
            self.telemetry.rebalances[kind] += 1
            numbers = [tp.partition for tp in partitions]
            log.info("%s: %s", kind, numbers, extra={"partitions": numbers})
            for tp in partitions:
                self._delivery.forget(f"{tp.topic}-{tp.partition}")
                if kind == "assigned":
                    if tp in self._consumer.assignment():
                        self._begin(tp)
                else:
                    self._drop(tp)
                    self._state.drop(tp)
        return changed

    def _begin(self, tp: TopicPartition) -> None:
        partition = self._state.begin(tp)
        self._adopt(tp, partition)
        self._consumer.seek(tp, partition.contexts.next_offset)
        self._consumer.resume(tp)

    def _adopt(self, tp: TopicPartition, partition: Partition) -> None:
        self._drop(tp)
        self._partitions[tp] = self.telemetry.partitions[tp.partition] = partition

    def _drop(self, tp: TopicPartition) -> None:
        partition = self._partitions.pop(tp, None)
        if partition is not None:
            self.telemetry.left(tp.partition, partition)
            self.pipeline.slates.drop(partition.name)

    def _after_expiry(self) -> None:
        """Records expired between two polls: stop, or go on where the log begins now."""
        tps = list(self._partitions)
        begins = self._consumer.beginning_offsets(tps)
        ends = self._consumer.end_offsets(tps)
        for tp in tps:
            begin, end, old = begins[tp], ends[tp], self._partitions[tp]
            at = old.contexts.next_offset
            if begin <= at <= end:
                continue
            # What had been emitted before and was only read again is not lost.
            unread = max(at, old.emit_from) if at < begin else at
            emit_from = max(begin, old.emit_from)
            if not begin <= unread <= end:
                self.pipeline.notices.lost += self._positions.lose(tp, unread, begin, end)
                emit_from = begin
            contexts = PartitionContexts(self._settings, begin, old.contexts.stream_time)
            self._state.drop(tp)
            self._adopt(tp, Partition(old.name, contexts, emit_from, min(old.committed, emit_from)))
            self._consumer.seek(tp, begin)
            log.warning("partition %d: going on from offset %d", tp.partition, begin)
