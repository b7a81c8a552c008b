"""An experiment in the daemon: some sessions are answered by a challenger, and every prediction of
it names its arm."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from session_rec.errors import ConfigError
from session_rec.experiment_arms import ARMS, CHALLENGER, CHAMPION, Arm
from session_rec.manifest import MANIFEST
from session_rec.model_store import ModelStore
from session_rec.policy import Policy
from session_rec.probe import load_probed
from session_rec.recommender import MICRO_BATCH, Recommender
from session_rec.sessions import SessionRules
from streaming.config import StreamConfig
from streaming.experiment_settings import ExperimentSettings

if TYPE_CHECKING:
    from streaming.pipeline import Pipeline, Question

log = logging.getLogger(__name__)


def begin_experiment(
    config: StreamConfig, rules: SessionRules, pipeline: Pipeline, registry: CollectorRegistry
) -> None:
    """Has sessions of the pipeline answered by a challenger, if there shall be one.

    Raises:
        UserError: the challenger cannot serve.
    """
    settings = config.experiment
    if settings is None:
        return
    challenger = _load(config, settings)
    if challenger.rules != rules:
        if config.rules is None:
            raise ConfigError(
                f"experiment.challenger {settings.challenger!r} was trained under session rules "
                f"{challenger.rules.to_dict()}, contexts are cut by {rules.to_dict()}: train both "
                "models under the same"
            )
        log.warning("session rules differ from the challenger's: it was not evaluated so")
    if challenger.fingerprint == pipeline.recommender.fingerprint:
        log.warning("experiment %s: champion and challenger are the same model", settings.name)
    pipeline.experiment = Experiment(settings, challenger)
    registry.register(pipeline.experiment)
    log.info(
        "experiment %s: challenger %s (%s) answers %g of the sessions",
        settings.name,
        challenger.fingerprint,
        settings.challenger,
        settings.share,
    )


class Experiment(Collector):
    """Which questions are the challenger's, and what became of both arms here.

    A batch that the challenger cannot answer is the champion's to answer, still in the challenger's
    arm: whom the draw gave to an arm is counted there, whatever came of it.

    Args:
        settings: of the experiment.
        challenger: the model, ready to answer.

    Attributes:
        name: which experiment.
        errors: batches that the challenger could not answer.
        slates: predictions by arm.
        asked, hits: clicks by arm, as :class:`streaming.recent_slates.RecentSlates` counts them.
    """

    def __init__(self, settings: ExperimentSettings, challenger: Recommender) -> None:
        self._settings = settings
        self._arms = settings.arms
        self.name = settings.name
        self.challenger = challenger
        self.errors = 0
        self.slates, self.asked, self.hits = (dict.fromkeys(ARMS, 0) for _ in range(3))

    @property
    def over(self) -> bool:
        """Whether it ended itself: the challenger failed too often."""
        return self.errors >= self._settings.max_errors

    def split(
        self, questions: Sequence[Question]
    ) -> Iterable[tuple[Arm | None, Sequence[Question]]]:
        """The questions by arm, each arm's in their order; without arms once it is over."""
        if self.over:
            return [(None, questions)]
        mine: dict[Arm, list[Question]] = {CHAMPION: [], CHALLENGER: []}
        for question in questions:
            mine[self._arms.of(question.session_id)].append(question)
        return mine.items()

    def failed(self, error: Exception) -> None:
        """Notes that the challenger raised instead of answering a batch."""
        self.errors += 1
        log.log(
            logging.ERROR if self.over else logging.WARNING,
            "experiment %s: the challenger cannot answer, the champion does (%s: %s)%s",
            self.name,
            type(error).__name__,
            error,
            "; the experiment ends here until the next start" if self.over else "",
        )

    def clicked(self, arm: Arm, hit: bool | None) -> None:
        """Counts a prediction; and whether the click before it was in the slate before that, None
        where there was nothing to compare."""
        self.slates[arm] += 1
        if hit is not None:
            self.asked[arm] += 1
            self.hits[arm] += hit

    def collect(self) -> Iterator[Any]:
        """Its metrics."""
        yield InfoMetricFamily(
            "session_rec_experiment",
            "The experiment and the model of its challenger",
            value={"name": self.name, "challenger": self.challenger.fingerprint},
        )
        yield GaugeMetricFamily(
            "session_rec_experiment_running",
            "0 once it ended itself because the challenger failed",
            value=not self.over,
        )
        yield CounterMetricFamily(
            "session_rec_experiment_errors",
            "Batches that the challenger could not answer, the champion did",
            value=self.errors,
        )
        for name, text, counts in (
            ("slates", "Predictions", self.slates),
            ("clicks_asked", "Clicks whose session had a slate, made before the click", self.asked),
            ("clicks_hit", "Those whose item stood in that slate", self.hits),
        ):
            family = CounterMetricFamily(f"session_rec_experiment_{name}", text, labels=["arm"])
            for arm, value in counts.items():
                family.add_metric([arm], value)
            yield family


def _load(config: StreamConfig, settings: ExperimentSettings) -> Recommender:
    path = Path(settings.challenger)
    policy = Policy(config.exclude_seen, frozenset(config.blocked_items))
    sizes = sorted({1, 2, min(config.micro_batch, MICRO_BATCH)})
    if not (path / MANIFEST).exists() and ModelStore.is_at(config.model):
        store = ModelStore(config.model)
        return store.load(store.find(settings.challenger), policy, config.k, sizes)
    return load_probed(path, policy, config.k, sizes)
