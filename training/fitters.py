"""Every model kind that can be trained: its settings, and the function that fits it.

Jobs and benchmarks go through this one table, so all models get their data in the same way. The
libraries of a model are imported when it is fitted, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from rich.console import Console

from session_rec.errors import ConfigError, UserError
from session_rec.predictors.base import Predictor
from session_rec.predictors.popularity import Popularity, PopularityConfig
from session_rec.predictors.sequential_rules import SequentialRules, SequentialRulesConfig
from session_rec.predictors.session_popularity import SessionPopularity, SessionPopularityConfig
from session_rec.predictors.vmis_knn import VmisKnn, VmisKnnConfig
from session_rec.ragged import Ragged
from training.leakage.forward import SessionForward
from training.two_stage.known_parts import KnownParts
from training.warm_start import TrainingWeights, WarmStart

if TYPE_CHECKING:
    from training.transformer.config import SequenceTrainingConfig
    from training.transformer.soft_targets import SoftTargets

#: Called with the history of a training so far, a record per epoch.
EachEpoch = Callable[[list[dict[str, float]]], None]


@dataclass(frozen=True)
class Fitted:
    """A trained predictor.

    Attributes:
        predictor: ready to be written as a model directory.
        record: JSON-able facts about the training: ``deterministic``, ``history`` and the like.
        seconds: wall-clock time of the training.
        weights: what a later training can start from; empty for models that are only counted.
        forward: the forwards over whole sessions that the training used, for the leakage
            certificate; None where it scores no whole sessions.
        parts: the models that this one consists of, with their settings, by name; each is
            certified as well.
    """

    predictor: Predictor
    record: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    weights: TrainingWeights = field(default_factory=dict)
    forward: SessionForward | None = None
    parts: Mapping[str, tuple[Fitted, BaseModel]] = field(default_factory=dict)


@dataclass(frozen=True)
class FitData:
    """What a model is fitted on.

    Attributes:
        train, valid: sessions of catalog rows, in chronological order; ``valid`` serves early
            stopping only and may be empty.
        n_items: catalog size.
        run_dir: a place for checkpoints and logs.
        console: where to show progress; None is silent.
        start: an earlier model to go on from; models that are only counted have no use for it.
        each_epoch: told the history after each epoch of a model that validates after each; what
            it raises ends the training.
        known_parts: parts trained before, for models that are made of several.
    """

    train: Ragged
    valid: Ragged
    n_items: int
    run_dir: Path
    console: Console | None = None
    start: WarmStart | None = None
    each_epoch: EachEpoch | None = None
    known_parts: KnownParts | None = None


_Fit = Callable[[FitData, Any], Fitted]


def _counted(model: Any) -> _Fit:
    """Fits a model whose class has ``fit(sessions, n_items, config)``."""
    return lambda data, config: Fitted(model.fit(data.train, data.n_items, config))


def _item2vec(data: FitData, config: Any) -> Fitted:
    from training.item2vec import fit_vectors

    predictor, record, vectors = fit_vectors(
        data.train, data.n_items, config, progress=data.console, start=data.start
    )
    return Fitted(predictor, record, weights=vectors.training_weights())


def _sequence_model(data: FitData, config: Any) -> Fitted:
    from training.transformer.export import export_predictor
    from training.transformer.forward import SequenceModelForward
    from training.transformer.loop import fit
    from training.transformer.warm import training_weights

    trained = fit(
        data.train,
        data.valid,
        data.n_items,
        config,
        run_dir=data.run_dir,
        progress=data.console,
        start=data.start,
        each_epoch=data.each_epoch,
        ask=None if config.teacher is None else lambda: soft_targets(data, config),
    )
    record = {"deterministic": trained.deterministic, "history": trained.history}
    return Fitted(
        export_predictor(trained),
        record,
        weights=training_weights(trained.model),
        forward=SequenceModelForward(trained),
    )


def soft_targets(data: FitData, config: SequenceTrainingConfig) -> SoftTargets:
    """What the teacher of a sequence model says of ``data.train``; its answers are kept under
    ``data.run_dir``."""
    from training.transformer.soft_targets import ask_teacher

    teacher = config.teacher
    assert teacher is not None

    def fit_teacher(sessions: Ragged, run_dir: Path) -> Fitted:
        others = FitData(sessions, Ragged.from_lists([]), data.n_items, run_dir, data.console)
        return fit_model(teacher.kind, others, teacher.model())

    return ask_teacher(
        data.train,
        data.n_items,
        config,
        teacher,
        fit_teacher,
        data.run_dir / "teacher",
        data.console,
    )


def _two_stage(data: FitData, config: Any) -> Fitted:
    from training.two_stage.fit import ALL_SESSIONS, fit

    def fit_part(name: str, train: Ragged, valid: Ragged, run: str) -> Fitted:
        kind, settings = config.part(name)
        place = data.run_dir / f"{name}.{run}"
        if run == ALL_SESSIONS:
            place = config.run_dir(name) or place
        part = FitData(train, valid, data.n_items, place, data.console)
        known = data.known_parts or KnownParts()
        return known.get(kind, settings, train, valid, lambda: fit_model(kind, part, settings))

    def say(text: str) -> None:
        if data.console is not None:
            data.console.print(text, markup=False, highlight=False)

    model, record, parts = fit(data.train, data.valid, data.n_items, config, fit_part, say)
    settings = {name: config.part(name)[1] for name in parts}
    return Fitted(
        model, record, parts={name: (part, settings[name]) for name, part in parts.items()}
    )


def _two_stage_config() -> type[BaseModel]:
    from training.two_stage.config import TwoStageConfig

    return TwoStageConfig


def _item2vec_config() -> type[BaseModel]:
    from training.item2vec import Item2VecConfig

    return Item2VecConfig


def _gru4rec_config() -> type[BaseModel]:
    from training.transformer.config import Gru4RecConfig

    return Gru4RecConfig


def _transformer_config() -> type[BaseModel]:
    from training.transformer.config import TransformerConfig

    return TransformerConfig


_NEEDS = {
    "item2vec": "gensim",
    "gru4rec": "transformers4rec",
    "transformer": "transformers4rec",
    "two-stage": "torch",
}
_FITTERS: dict[str, tuple[Callable[[], type[BaseModel]], _Fit]] = {
    "popularity": (lambda: PopularityConfig, _counted(Popularity)),
    "session-popularity": (lambda: SessionPopularityConfig, _counted(SessionPopularity)),
    "sequential-rules": (lambda: SequentialRulesConfig, _counted(SequentialRules)),
    "vmis-knn": (lambda: VmisKnnConfig, _counted(VmisKnn)),
    "item2vec": (_item2vec_config, _item2vec),
    "gru4rec": (_gru4rec_config, _sequence_model),
    "transformer": (_transformer_config, _sequence_model),
    "two-stage": (_two_stage_config, _two_stage),
}


def trainable_kinds() -> tuple[str, ...]:
    """The model kinds that can be trained, simplest first."""
    return tuple(_FITTERS)


def model_config(kind: str) -> type[BaseModel]:
    """The settings class of a model kind.

    Raises:
        ConfigError: no such kind.
    """
    return _lookup(kind)[0]()


def fit_model(kind: str, data: FitData, config: BaseModel) -> Fitted:
    """Fits a model of ``kind`` with its settings.

    Raises:
        ConfigError: no such kind.
    """
    begin = perf_counter()
    fitted = _lookup(kind)[1](data, config)
    record = {"deterministic": True, **fitted.record}
    return replace(fitted, record=record, seconds=perf_counter() - begin)


def check_installed(kind: str) -> None:
    """Says so before any data is read if the library of a model kind is not installed.

    Raises:
        UserError: it is not.
    """
    library = _NEEDS.get(kind)
    if library is not None and find_spec(library) is None:
        raise UserError(
            f"{library} is not installed, and {kind} is trained with it: "
            "pip install 'session-rec[train]'"
        )


def _lookup(kind: str) -> tuple[Callable[[], type[BaseModel]], _Fit]:
    if kind not in _FITTERS:
        raise ConfigError(f"unknown model kind {kind!r}: choose one of {', '.join(_FITTERS)}")
    return _FITTERS[kind]
