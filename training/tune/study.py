"""The study of one model: which settings come next, what came of them, and what was interrupted.

The settings of a trial follow from the seed, the trial's place and the trials before it: the
sampler is made anew for each trial. So a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from session_rec.errors import ConfigError
from training.tune.searches import Search
from training.tune.space import Value

State = Literal["done", "pruned", "failed"]
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
#: Trials with settings drawn evenly, before what came of them says where to look.
_STARTUP = 6
#: Quarters of a training; it is stopped at the end of the second or the third.
_FIRST_PRUNED = 2


@dataclass(frozen=True)
class Trial:
    """A trial that is over.

    Attributes:
        number: from 1; interrupted trials have none.
        state: what became of it.
        values: what was searched.
        score: what it is compared by, of a trial that is done.
        figures: ``hr@20`` and ``mrr@20`` of a trial that is done, as fractions.
        seconds: wall-clock time.
        reason: why it was pruned or failed.
    """

    number: int
    state: State
    values: dict[str, Value]
    score: float | None
    figures: dict[str, float]
    seconds: float
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The trial as JSON-able values."""
        return dict(vars(self))


class Study:
    """The trials of one model.

    Args:
        storage: where all studies are kept.
        search: what is searched.
        identity: JSON values of all that decides the trials.
        seed: of the settings that are drawn.
        prune_after: trials that must have ended well before one is stopped.

    Raises:
        ConfigError: the study that is kept under this name is one of other settings or data.
    """

    def __init__(
        self,
        storage: optuna.storages.JournalStorage,
        search: Search,
        identity: Mapping[str, Any],
        *,
        seed: int,
        prune_after: int,
    ) -> None:
        self.search, self._seed = search, seed
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruner = optuna.pruners.MedianPruner(
            n_startup_trials=prune_after, n_warmup_steps=_FIRST_PRUNED
        )
        self._study = optuna.create_study(
            storage=storage,
            study_name=search.name,
            direction="maximize",
            pruner=pruner,
            load_if_exists=True,
        )
        kept = self._study.user_attrs.get("identity")
        if kept is None:
            self._study.set_user_attr("identity", dict(identity))
        elif kept != identity:
            differ = sorted(k for k in {*kept, *identity} if kept.get(k) != identity.get(k))
            raise ConfigError(
                f"there is a search of {search.name} with another {', '.join(differ)} in this "
                f"place: give the settings and data that it was begun with, or "
                "choose another --out"
            )
        self._take_up_interrupted()
        self._over: list[Trial] = []
        for t in self._study.get_trials(deepcopy=False):
            if t.state.is_finished() and t.number not in self._interrupted:
                self._keep(t)

    @property
    def trials(self) -> list[Trial]:
        """The trials that are over, in their order."""
        return list(self._over)

    @property
    def best(self) -> Trial | None:
        """The trial with the highest score, the earliest of equals; None where none is done."""
        done = [t for t in self._over if t.score is not None]
        return max(done, key=lambda t: (t.score, -t.number), default=None)

    def ask(self) -> tuple[optuna.Trial, dict[str, Value]]:
        """The next trial: the start, one that was interrupted, or one that the sampler draws."""
        number = len(self._over)
        state = np.random.SeedSequence([self._seed, number]).generate_state(1)
        self._study.sampler = optuna.samplers.TPESampler(
            seed=int(state[0]), n_startup_trials=_STARTUP, constant_liar=False
        )
        if number == 0 and not self._in_state(TrialState.WAITING):
            self._study.enqueue_trial(dict(self.search.start))
        trial = self._study.ask()
        start, space = self.search.start, self.search.space
        values = {
            name: space[name].suggest(trial, name, whole=_is_whole(start[name])) for name in space
        }
        return trial, values

    def same_as(self, values: Mapping[str, Value]) -> Trial | None:
        """A trial that is done with these very values."""
        return next((t for t in self._over if t.score is not None and t.values == values), None)

    def done(
        self, trial: optuna.Trial, score: float, figures: dict[str, float], seconds: float
    ) -> None:
        """The trial has a score."""
        # What is said of a trial comes first: once it is told, it is over.
        trial.set_user_attr("figures", figures)
        trial.set_user_attr("seconds", seconds)
        self._keep(self._study.tell(trial, score))

    def ended(
        self, trial: optuna.Trial, state: Literal["pruned", "failed"], reason: str, seconds: float
    ) -> None:
        """The trial has none."""
        trial.set_user_attr("reason", reason)
        trial.set_user_attr("seconds", seconds)
        told = TrialState.PRUNED if state == "pruned" else TrialState.FAIL
        self._keep(self._study.tell(trial, state=told))

    def importances(self) -> dict[str, float]:
        """How much of the variance of good scores each setting explains, largest first; the shares
        add up to 1. Empty where fewer than 8 trials are done, or all scored alike.

        PED-ANOVA (Watanabe et al. 2023), which asks how a setting decides whether a trial is
        among the better ones.
        """
        done = [t for t in self.trials if t.score is not None]
        if len(done) < 8 or len({t.score for t in done}) < 2:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = optuna.importance.get_param_importances(
                self._study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
            )
        return {name: round(float(share), 4) for name, share in shares.items()}

    def _keep(self, t: FrozenTrial) -> None:
        """Only this process writes to the study, so what is over need not be read again."""
        trial = Trial(
            len(self._over) + 1,
            _STATES[t.state],
            t.params,
            t.value if t.state == TrialState.COMPLETE else None,
            t.user_attrs.get("figures", {}),
            t.user_attrs.get("seconds", 0.0),
            t.user_attrs.get("reason", ""),
        )
        self._over.append(trial)

    def _in_state(self, state: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(state,))

    def _take_up_interrupted(self) -> None:
        """Trials that a stopped process left behind count as failed; their settings are next."""
        for t in self._in_state(TrialState.RUNNING):
            values = t.system_attrs.get("fixed_params", t.params)
            # Without them all it is drawn again, and is the same: see `ask`.
            if values.keys() == self.search.space.keys() and not self._in_state(TrialState.WAITING):
                self._study.enqueue_trial(values)
            self._study.set_user_attr("interrupted", [*self._interrupted, t.number])
            self._study.tell(t.number, state=TrialState.FAIL)

    @property
    def _interrupted(self) -> list[int]:
        numbers: list[int] = self._study.user_attrs.get("interrupted", [])
        return numbers


def _is_whole(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
