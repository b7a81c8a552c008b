"""The settings of a training job, from a file of its own or a table in a file of many models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from session_rec.config import parse_config, read_toml
from session_rec.errors import ConfigError
from training.fitters import trainable_kinds
from training.train import TrainConfig


def load_training(
    name: str, path: Path | None, overrides: Sequence[str] = ()
) -> tuple[str, TrainConfig]:
    """The model kind and the settings of the job ``name``.

    Args:
        name: a model kind or, in a file with a table per model (such as the ``best.toml`` of
            ``session-rec tune``, or configs/quality), the name of a table, whose ``kind`` defaults
            to it.
        path: TOML file; None: all defaults.
        overrides: ``key=value``, as :func:`session_rec.config.load_config` takes them.

    Raises:
        ConfigError: the file or a setting is wrong, or ``name`` is neither.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "best.toml"
    >>> _ = file.write_text("[fast]\\nkind = 'session-popularity'\\ndecay = 0.5")
    >>> kind, config = load_training("fast", file, ["model.decay=0.7"])
    >>> kind, config.model, str(config.out)
    ('session-popularity', {'decay': 0.7}, 'runs/models/fast')
    """
    values: dict[str, Any] = {} if path is None else read_toml(path)
    where = str(path) if path else "the settings"
    kind = name
    own = TrainConfig.model_fields
    if isinstance(values.get(name), dict) and name not in own:
        table = dict(values[name])
        kind = str(table.pop("kind", name))
        # Tables of other models are of no interest here; anything else that is wrong is.
        values = {k: v for k, v in values.items() if k in own or not isinstance(v, dict)}
        values = {"out": f"runs/models/{name}", **values, "model": table}
    elif name not in trainable_kinds():
        tables = [k for k, v in values.items() if isinstance(v, dict) and k not in own]
        known = ", ".join(dict.fromkeys([*tables, *trainable_kinds()]))
        raise ConfigError(f"unknown model kind {name!r}: choose one of {known}")
    return kind, parse_config(values, TrainConfig, where, overrides)
