"""What is trained: named settings of model kinds, read from one TOML file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel

from benchmarks.data import BenchmarkData
from benchmarks.published import known_data
from benchmarks.scripts import say_no_clock
from session_rec.config import parse_config, read_toml
from session_rec.console import err
from session_rec.errors import ConfigError
from training.fitters import model_config, trainable_kinds
from training.transformer.teacher import TeacherConfig

ROOT = Path(__file__).resolve().parents[1]
_HALF_LIFE = "recency_half_life_days"


@dataclass(frozen=True)
class Recipe:
    """A model to train.

    Attributes:
        name: what the tables call it.
        kind: its model kind.
        settings: its settings, the seed included.
        notes: what was changed because of the data.
    """

    name: str
    kind: str
    settings: BaseModel
    notes: tuple[str, ...] = ()

    @property
    def config_hash(self) -> str:
        """12 hex digits of kind and settings; seeds of one recipe share them."""
        settings = _without_seed(self.settings.model_dump(mode="json"))
        encoded = msgspec.json.encode({"kind": self.kind, "settings": settings}, order="sorted")
        return hashlib.sha256(encoded).hexdigest()[:12]

    @property
    def seed(self) -> int | None:
        """The seed, None for a model that draws nothing at random."""
        return getattr(self.settings, "seed", None)


def recipes_for(
    read: BenchmarkData, path: Path, config: Path | None, models: Sequence[str], seed: int | None
) -> list[Recipe]:
    """The recipes to run on ``read``, the file ``path``: of ``config``, else those tuned on this
    data, else the defaults. Says what was chosen, and what was changed because of the data.

    Raises:
        ConfigError: as :func:`read_recipes`.
    """
    known = known_data(read.fingerprint)
    if config is None and known is not None:
        config = ROOT / known.recipes
        err.print(f"{known.name}: recipes of {known.recipes}", markup=False, soft_wrap=True)
    recipes = read_recipes(config, models, seed, read.has_clock)
    if not read.has_clock:
        say_no_clock(path)
    for note in (note for recipe in recipes for note in recipe.notes):
        err.print(note, markup=False)
    return recipes


def read_recipes(
    config: Path | None, models: Sequence[str], seed: int | None, has_clock: bool
) -> list[Recipe]:
    """The recipes to run, all checked before the first of them is trained.

    Args:
        config: TOML file with one table per model; a table's ``kind`` defaults to its name. None:
            every kind with its default settings.
        models: names to run; empty: all.
        seed: replaces the recipes' own.
        has_clock: without one, half-lives in days are switched off.

    Raises:
        ConfigError: the file or a setting is wrong, or a name is not known.
    """
    tables: dict[str, Any] = {} if config is None else read_toml(config)
    where = str(config) if config else "the settings"
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: {name!r} stands outside a table; write [MODEL] above it")
    # A kind that the file does not name runs with its default settings, if asked for.
    chosen = list(models) or list(tables) or list(trainable_kinds())
    unknown = [name for name in chosen if name not in tables and name not in trainable_kinds()]
    if unknown:
        known = ", ".join(dict.fromkeys([*tables, *trainable_kinds()]))
        raise ConfigError(f"unknown model {unknown[0]!r}: choose of {known}")
    return [
        _recipe(name, deepcopy(tables.get(name, {})), where, seed, has_clock) for name in chosen
    ]


def _recipe(
    name: str, table: dict[str, Any], where: str, seed: int | None, has_clock: bool
) -> Recipe:
    kind = str(table.pop("kind", name))
    fields = model_config(kind)
    notes = []
    for place, part_kind, part in _models(name, kind, table):
        if seed is not None and "seed" in model_config(part_kind).model_fields:
            part["seed"] = seed
        if not has_clock and part.get(_HALF_LIFE):
            notes.append(f"{place}: {_HALF_LIFE} = {part[_HALF_LIFE]} switched off: ts is no clock")
            part[_HALF_LIFE] = 0.0
    return Recipe(name, kind, parse_config(table, fields, f"{where} [{name}]"), tuple(notes))


def _models(
    where: str, kind: str, table: dict[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where each model of a recipe stands, its kind, and its settings, to be changed: the model
    itself, the parts of a two-stage model, a teacher, and theirs."""
    yield where, kind, table
    # Where something else stands than a table, the settings class says what is wrong with it.
    parts, teacher = table.get("parts"), table.get("teacher")
    for part, settings in parts.items() if isinstance(parts, dict) else ():
        if isinstance(settings, dict):
            yield from _models(f"{where}.parts.{part}", str(settings.get("kind", part)), settings)
    if isinstance(teacher, dict) and isinstance(teacher.setdefault("settings", {}), dict):
        kind = str(teacher.get("kind", TeacherConfig.model_fields["kind"].default))
        yield from _models(f"{where}.teacher.settings", kind, teacher["settings"])


def _without_seed(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without their seed and those of the models within."""
    return {
        key: _without_seed(value) if isinstance(value, dict) else value
        for key, value in settings.items()
        if key != "seed"
    }
