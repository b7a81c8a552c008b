"""Settings of an evaluation over rolling windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from session_rec.config import Config, parse_config
from session_rec.errors import ConfigError
from session_rec.event_log import Positions
from training.fitters import check_installed, model_config, trainable_kinds
from training.prepare.config import Rules

#: Kinds that can go on from earlier weights. All others are counts or an index over their
#: sessions: fitting them anew on the history is their exact increment.
WARM_KINDS = ("item2vec", "gru4rec", "transformer")
#: Kinds that stop early by a validation slice.
VALIDATED_KINDS = ("gru4rec", "transformer")

#: A number of windows, or ``all``.
History = Literal["all"] | int


class RollingConfig(Config):
    """What is cut into windows, which models roll over them, and how they are scored."""

    data: Path
    """Parquet file of sessions, as ``session-rec prepare`` writes them; a ``split`` is ignored."""
    columns: dict[str, str] = {}
    """Our name (session_id, item_id, ts, type, seq) -> the file's, where they differ."""
    where: str | None = None
    """SQL condition on the file's rows."""
    ts_unit: Literal["ms", "s"] = "ms"
    """Unit of ``ts`` since 1970."""
    session_rules: Rules = Rules()
    """What makes a session; ``name = "pairs"`` takes them as given."""
    collapse_repeats: bool = False
    """Clicks on the same item in a row are one, as the paper prepares its data."""

    window: str = "day"
    """Length: ``day``, ``hour``, ``<N>h``, or, for data without a clock, ``<N>sessions``."""
    burn_in: int = Field(default=1, ge=1)
    """Windows that are only trained on before the first one is scored."""
    max_windows: int = Field(default=0, ge=0)
    """Score so many windows at most; 0: all."""

    models: dict[str, dict[str, Any]] = {}
    """A table per model, named as it shall be called: ``kind`` (default: the name), ``warm_start``,
    ``history`` and ``warm_history`` where they differ from those below, and the kind's own
    settings. Empty: every kind with its defaults."""
    warm_start: bool = True
    """item2vec, GRU4Rec and the transformer go on from their weights of the window before;
    otherwise they are trained from scratch on the history each time."""
    history: History = "all"
    """Newest windows that a model is fitted on where it does not start warm."""
    warm_history: History = 1
    """Newest windows that a warm start goes on with."""
    validation: float = Field(default=0.0, ge=0, le=0.5)
    """Share of the newest window's sessions, its last ones, that stops the training of GRU4Rec
    and the transformer early; they are trained on one window later. 0: all epochs are trained."""
    seed: int = Field(default=1, ge=0)
    """Of models that draw at random and name no seed of their own."""

    positions: Positions = "last"
    """Questions of a session: ``last``, as the paper, or ``every`` position."""
    min_prefix: int = Field(default=1, ge=1)
    """Events that a session must have had before a question."""

    run_dir: Path = Path("runs/rolling")
    """What is done stays here: the same command goes on from it."""
    keep_models: bool = False
    """Keep every window's model directory; otherwise only the newest of each model."""


@dataclass(frozen=True)
class RollingModel:
    """A model that rolls over the windows.

    Attributes:
        name: what the tables call it.
        kind: its model kind.
        settings: of the kind, seed included.
        warm: it goes on from its weights of the window before.
        history: newest windows it is fitted on, or goes on with where ``warm``; None: all.
        validation: share of the newest window held out for early stopping.
    """

    name: str
    kind: str
    settings: BaseModel
    warm: bool
    history: int | None
    validation: float


def rolling_models(config: RollingConfig, names: list[str] | None = None) -> list[RollingModel]:
    """The models to run, all checked before the first is trained.

    Args:
        names: of the settings' models, or kinds, which then run with their defaults; None: all.

    Raises:
        ConfigError: a name, kind or setting is not known.
        UserError: the library of a kind is not installed.

    >>> tables = {"recent": {"kind": "popularity", "history": 1}}
    >>> config = RollingConfig(data="sessions.parquet", models=tables)
    >>> [(m.name, m.kind, m.history) for m in rolling_models(config)]
    [('recent', 'popularity', 1)]
    """
    tables = config.models
    known = list(dict.fromkeys([*tables, *trainable_kinds()]))
    chosen = names or list(tables) or list(trainable_kinds())
    for name in chosen:
        if name not in known:
            raise ConfigError(f"unknown model {name!r}: choose of {', '.join(known)}")
    return [_model(name, tables.get(name, {}), config) for name in dict.fromkeys(chosen)]


class _Roll(Config):
    """The keys of a model's table that are not settings of its kind."""

    kind: str
    warm_start: bool
    history: History
    warm_history: History


def _model(name: str, table: dict[str, Any], config: RollingConfig) -> RollingModel:
    if not name or any(c in name for c in "/\\\0") or name.startswith("."):
        raise ConfigError(f"a model cannot be called {name!r}: its name is that of a directory")
    where = f"the table of model {name!r}"
    defaults = {
        "kind": name,
        "warm_start": config.warm_start,
        "history": config.history,
        "warm_history": config.warm_history,
    }
    roll = parse_config({k: table.get(k, v) for k, v in defaults.items()}, _Roll, where)
    fields = model_config(roll.kind)
    settings = {k: v for k, v in table.items() if k not in defaults}
    if "seed" in fields.model_fields:
        settings.setdefault("seed", config.seed)
    parsed = parse_config(settings, fields, where)
    check_installed(roll.kind)
    warm = roll.warm_start and roll.kind in WARM_KINDS
    history = roll.warm_history if warm else roll.history
    if history != "all" and history < 1:
        raise ConfigError(f"{where}: a history has at least 1 window, or is 'all'")
    return RollingModel(
        name,
        roll.kind,
        parsed,
        warm,
        None if history == "all" else history,
        config.validation if roll.kind in VALIDATED_KINDS else 0.0,
    )
