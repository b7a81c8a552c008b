"""One TOML file per job, read into a frozen pydantic model; the command line overrides values."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from session_rec.errors import ConfigError


class Config(BaseModel):
    """Base of every job's settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


C = TypeVar("C", bound=BaseModel)


def load_config(path: Path | None, model: type[C], overrides: Sequence[str] = ()) -> C:
    """The settings in the TOML file ``path`` (None: all defaults), with ``key=value`` overrides.

    An override's key may be dotted (``topics.events=clicks``); its value is read as TOML, and as
    a plain string where it is none.

    Raises:
        ConfigError: the file is missing or not TOML, a key is unknown (the nearest known one is
            named) or a value does not fit.

    >>> import tempfile
    >>> class Job(Config):
    ...     epochs: int = 10
    ...     seed: int = 0
    >>> path = Path(tempfile.mkdtemp()) / "job.toml"
    >>> _ = path.write_text("epochs = 5")
    >>> load_config(path, Job, ["seed=7"])
    Job(epochs=5, seed=7)
    """
    values: dict[str, Any] = {} if path is None else read_toml(path)
    return parse_config(values, model, str(path) if path else "the settings", overrides)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ConfigError: it is missing or not TOML.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "job.toml"
    >>> _ = path.write_text("topics.events = 'clicks'")
    >>> read_toml(path)
    {'topics': {'events': 'clicks'}}
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} is not there: give the path of a TOML file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path} cannot be read: {e}") from None
    except tomllib.TOMLDecodeError as e:
        raise ConfigError(f"{path} is not TOML: {e}") from None


def parse_config(
    values: dict[str, Any], model: type[C], where: str, overrides: Sequence[str] = ()
) -> C:
    """``values`` as a ``model``, with overrides as in :func:`load_config`; ``where`` names their
    source in errors.

    Raises:
        ConfigError: as in :func:`load_config`.

    >>> class Job(Config):
    ...     epochs: int = 10
    >>> parse_config({"epochs": 5}, Job, "job.toml")
    Job(epochs=5)
    >>> parse_config({"epoch": 5}, Job, "job.toml")
    Traceback (most recent call last):
    session_rec.errors.ConfigError: job.toml: unknown key 'epoch'; the nearest known one is 'epochs'
    """
    if overrides:
        values = deepcopy(values)
    for override in overrides:
        _override(values, override)
    try:
        return model.model_validate(values)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        key = ".".join(str(p) for p in first["loc"])
        if first["type"] == "extra_forbidden":
            near = _nearest([str(p) for p in first["loc"]], _keys(model))
            known = f"the nearest known one is {near!r}" if near else "there is nothing to set"
            if len(first["loc"]) == 1:
                for table in _open_tables(model):
                    known += f"; one of the [{table}] table is written '{table}.{key}'"
            raise ConfigError(f"{where}: unknown key {key!r}; {known}") from None
        message = first["msg"].removeprefix("Value error, ")
        subject = f"{key!r}: " if key else ""
        raise ConfigError(f"{where}: {subject}{message[0].lower() + message[1:]}") from None


def _open_tables(model: type[BaseModel]) -> list[str]:
    """Tables whose keys depend on something else, so that none of them is known here."""
    return [name for name, f in model.model_fields.items() if f.annotation == dict[str, Any]]


def _nearest(place: list[str], keys: list[list[str]]) -> str | None:
    """The known key that is most like the last part of ``place``; with its table where that is
    another one than ``place`` is in."""
    *table, last = place
    near = difflib.get_close_matches(last, [key[-1] for key in keys], n=1, cutoff=0.0)
    if not near:
        return None
    alike = [key for key in keys if key[-1] == near[0]]
    if any(fnmatchcase(".".join(table), ".".join(key[:-1])) for key in alike):
        return near[0]
    return ".".join(alike[0]).replace("*", "NAME")


def _keys(model: type[BaseModel], above: Sequence[str] = ()) -> list[list[str]]:
    """Every key below ``model``, part by part; * is a name that the user chooses."""
    keys = [[*above, name] for name in model.model_fields]
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation)
        for inner in (field.annotation, *kinds):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                chosen = ["*"] if get_origin(field.annotation) in (dict, list, tuple) else []
                keys += _keys(inner, [*above, name, *chosen])
    return keys


def _override(values: dict[str, Any], override: str) -> None:
    key, sep, text = override.partition("=")
    if not sep or not key.strip():
        raise ConfigError(f"{override!r} is not an override: write key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.strip().split(".")
    table = values
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{override!r}: {parent!r} is a value, not a table")
    table[last] = value
