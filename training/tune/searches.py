"""Which settings of a model are searched, from where, and what a trial's values make of them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from session_rec.config import parse_config
from session_rec.errors import ConfigError
from training.fitters import check_installed, model_config, trainable_kinds
from training.tune.config import ModelSearch, TuneConfig
from training.tune.space import Dimension, Value
from training.tune.spaces import default_space


@dataclass(frozen=True)
class Search:
    """The search of one model.

    Attributes:
        name: what the tables call it.
        kind: its model kind.
        given: settings that differ from the kind's defaults, as they were given.
        space: what is searched.
        start: the first trial.
    """

    name: str
    kind: str
    given: Mapping[str, Any]
    space: Mapping[str, Dimension]
    start: Mapping[str, Value]

    def table(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """The settings of a trial, without those left at the kind's defaults."""
        table = deepcopy(dict(self.given))
        for key, value in values.items():
            *parents, last = key.split(".")
            place = table
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
        return table

    def settings(self, values: Mapping[str, Value]) -> BaseModel:
        """The settings of a trial.

        Raises:
            ConfigError: they do not fit together.
        """
        return parse_config(self.table(values), model_config(self.kind), f"model {self.name!r}")

    def changed(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Those of ``values`` that are not as in the first trial."""
        return {k: v for k, v in values.items() if v != self.start[k]}


def read_searches(
    config: TuneConfig, names: list[str] | None, has_clock: bool, sessions: int
) -> list[Search]:
    """The searches, all checked before the first trial.

    Args:
        names: of the settings' models, or kinds, which then have their own space; None: all.
        has_clock: whether ``ts`` is a clock; without one nothing ages by days.
        sessions: how many a trial trains on.

    Raises:
        ConfigError: a name, a kind, a setting or a space cannot be used.
        UserError: the library of a kind is not installed.

    >>> config = TuneConfig(models={"fast": {"kind": "session-popularity"}})
    >>> [(s.name, s.kind, dict(s.start)) for s in read_searches(config, None, True, 100)]
    [('fast', 'session-popularity', {'decay': 0.8})]
    """
    known = list(dict.fromkeys([*config.models, *trainable_kinds()]))
    chosen = names or list(config.models) or list(trainable_kinds())
    for name in chosen:
        if name not in known:
            raise ConfigError(f"unknown model {name!r}: choose of {', '.join(known)}")
    return [
        _search(name, config.models.get(name, ModelSearch()), has_clock, sessions)
        for name in dict.fromkeys(chosen)
    ]


def _search(name: str, wanted: ModelSearch, has_clock: bool, sessions: int) -> Search:
    where = f"model {name!r}"
    if not name or any(c in name for c in "/\\\0") or name.startswith("."):
        raise ConfigError(f"a model cannot be called {name!r}: its name is that of a directory")
    kind = wanted.kind or name
    settings = parse_config(wanted.settings, model_config(kind), where)
    check_installed(kind)
    if not has_clock and bool(getattr(settings, "recency_half_life_days", 0.0)):
        raise ConfigError(
            f"{where}: recency_half_life_days needs a clock, and ts is none: "
            "use recency_half_life_sessions"
        )
    space = wanted.space
    if space is None:
        own = default_space(kind, has_clock, sessions)
        space = {key: d for key, d in own.items() if key not in wanted.settings}
    given = dict(wanted.settings)
    for table in {key.partition(".")[0] for key in space if "." in key} - given.keys():
        # Parts that are named replace the default ones, so all of them must be.
        given[table] = settings.model_dump().get(table, {})
    whole = _whole(settings)
    start = {key: _start(whole, key, dimension, kind, where) for key, dimension in space.items()}
    return Search(name, kind, given, space, start)


def _whole(settings: BaseModel) -> dict[str, Any]:
    """All settings, those of the parts of a model included."""
    values = settings.model_dump()
    for name in values.get("parts", ()):
        values["parts"][name] = settings.part(name)[1].model_dump()  # type: ignore[attr-defined]
    return values


def _start(whole: dict[str, Any], key: str, dimension: Dimension, kind: str, where: str) -> Value:
    """The value of ``key`` in the first trial, once it is seen to lie in its space."""
    value: Any = whole
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            near = difflib.get_close_matches(key, whole, n=1, cutoff=0.0)
            raise ConfigError(
                f"{where}: the space names {key!r}, which is no setting of {kind}; the nearest "
                f"one is {near[0]!r}"
                if near
                else f"{where}: {kind} has nothing to set, so its space must be empty"
            )
        value = value[name]
    if not isinstance(value, bool | int | float | str):
        raise ConfigError(f"{where}: {key!r} is no single value, so it cannot be searched")
    if isinstance(value, int) and not dimension.choices and not dimension.is_whole:
        raise ConfigError(f"{where}: {key!r} is a whole number: so must low, high and step be")
    if not dimension.holds(value):
        raise ConfigError(
            f"{where}: the first trial has {key} = {value}, which its space, {dimension}, does "
            f"not hold: widen it, or give another start in settings"
        )
    return value
