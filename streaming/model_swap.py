"""Which model serves: a fixed one, or whatever a store points at, changed between two polls."""

from __future__ import annotations

import logging
import time

from session_rec.errors import BundleError, UserError
from session_rec.model_pointer import Pointer, Release
from session_rec.model_store import ModelStore
from session_rec.policy import Policy
from session_rec.recommender import MICRO_BATCH, Recommender
from session_rec.sessions import SessionRules
from streaming.config import StreamConfig
from streaming.model_watch import Incoming, ModelWatch
from streaming.pipeline import Pipeline
from streaming.trial import SlateCounts, Trial

log = logging.getLogger(__name__)


class ModelSwap:
    """Loads the first model, and hands the pipeline the next ones.

    Args:
        config: the daemon's settings.

    Attributes:
        first: the model to begin with.

    Raises:
        UserError: it cannot serve; of a store, none that was promoted can.
    """

    def __init__(self, config: StreamConfig) -> None:
        self._config = config
        self._policy = Policy(config.exclude_seen, frozenset(config.blocked_items))
        self._store: ModelStore | None = None
        self._seen: Pointer | None = None
        self._watch: ModelWatch | None = None
        self._refused = 0
        if ModelStore.is_at(config.model):
            self._store = ModelStore(config.model)
            self.first = self._first_of(self._store)
        else:
            self.first = Recommender.load(config.model, self._policy)

    def start(self, pipeline: Pipeline, rules: SessionRules) -> None:
        """Begins to follow the store, if it is one.

        Args:
            pipeline: whose model is changed.
            rules: what contexts are cut by.
        """
        self._pipeline = pipeline
        self._rules = rules
        notices = pipeline.notices
        notices.models_refused += self._refused
        if self._store is None:
            return

        def refused() -> None:
            notices.models_refused += 1

        self._watch = ModelWatch(
            self._store,
            self._load,
            self._config.model_poll_s,
            self._seen,
            self.first.fingerprint,
            refused,
        )
        self._watch.start()

    def stop(self) -> None:
        """Follows no more."""
        if self._watch is not None:
            self._watch.stop()

    def turn(self) -> None:
        """Changes the model where it is time to; called where no batch is under way."""
        if self._watch is None:
            return
        trial = self._pipeline.trial
        if trial is not None:
            reason = trial.verdict(self._pipeline.turned_out)
            if reason is not None:
                self._go_back(trial, reason)
            elif trial.over:
                self._pipeline.trial = None
                log.info("model %s stood its trial", self._pipeline.recommender.fingerprint)
        incoming = self._watch.take()
        if incoming is not None:
            self._take_over(incoming)

    def _take_over(self, incoming: Incoming) -> None:
        pipeline, config = self._pipeline, self._config
        before = pipeline.recommender
        pipeline.trial = None
        if config.rollback_window_s > 0:
            pipeline.trial = Trial(
                before,
                pipeline.turned_out,
                config.rollback_rise,
                config.rollback_errors,
                time.monotonic() + config.rollback_window_s,
                judge_rates=not incoming.rolled_back,
            )
        pipeline.recommender = incoming.recommender
        pipeline.turned_out = SlateCounts()
        pipeline.notices.model_swaps += 1
        log.info(
            "model swapped: %s (%s, %d items) serves, %s did",
            incoming.recommender.fingerprint,
            incoming.release.name,
            len(incoming.recommender.catalog),
            before.fingerprint,
        )

    def _go_back(self, trial: Trial, reason: str) -> None:
        assert self._watch is not None
        pipeline = self._pipeline
        bad = pipeline.recommender.fingerprint
        pipeline.recommender, pipeline.turned_out = trial.previous, trial.before
        pipeline.trial = None
        pipeline.notices.model_rollbacks += 1
        self._watch.went_back_to(trial.previous.fingerprint)
        log.error(
            "model %s is taken back, %s serves again: %s; it is not tried again until something "
            "is promoted: 'session-rec models rollback %s' makes it last over a restart",
            bad,
            trial.previous.fingerprint,
            reason,
            self._config.model,
        )

    def _load(self, release: Release) -> Recommender:
        """A model to swap to, on the watching thread."""
        recommender = self._load_any(release)
        if recommender.rules != self._rules:
            if self._config.rules is None:
                raise BundleError(
                    f"its session rules {recommender.rules.to_dict()} are not those that contexts "
                    f"are cut by, {self._rules.to_dict()}: restart the daemon to serve it"
                )
            log.warning("session rules differ from the model's: what is served was not evaluated")
        return recommender

    def _load_any(self, release: Release) -> Recommender:
        assert self._store is not None
        # Batches of the sizes to come: what a model makes on first use is made here.
        sizes = sorted({1, 2, min(self._config.micro_batch, MICRO_BATCH)})
        return self._store.load(release, self._policy, self._config.k, sizes)

    def _first_of(self, store: ModelStore) -> Recommender:
        """The current model; where it is damaged the newest one before it that is not."""
        self._seen = pointer = store.pointer()
        if pointer is None:
            raise UserError(
                f"{store.directory} is a model store and no model of it is current: "
                f"session-rec models promote {store.directory} NAME"
            )
        refusal: BundleError | None = None
        for release in dict.fromkeys(reversed(pointer.history)):
            try:
                return self._load_any(release)
            except BundleError as error:
                log.error("model %s (%s) is refused: %s", release.name, release.fingerprint, error)
                self._refused += 1
                refusal = refusal or error
        assert refusal is not None
        raise refusal
