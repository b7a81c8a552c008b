"""Settings of a two-stage model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_serializer, field_validator

from session_rec.config import Config, parse_config
from session_rec.errors import ConfigError

#: What a two-stage model's own arrays begin with.
_OWN_ARRAYS = ("reranker", "facts")


class TwoStageConfig(Config):
    """Which models find candidates, and how the network that ranks them is fitted."""

    parts: dict[str, dict[str, Any]] = Field(
        default={"transformer": {}, "gru4rec": {}, "vmis-knn": {}, "sequential-rules": {}}
    )
    """Name -> settings of a model; ``kind`` in them defaults to the name. The first is the main
    one. ``run_dir`` in those of a sequence model names the run of the same model, trained alone on
    the same sessions with the same settings (``MODEL.run``): it is not trained on all of them
    again."""
    depth: int = Field(default=60, ge=1)
    """Items that each part puts up."""
    holdout: float = Field(default=0.15, gt=0, lt=1)
    """Share of the sessions, the newest, that the network is fitted on. The parts are first
    trained without them, then once more on all sessions."""
    slices: int = Field(default=2, ge=1)
    """Slices of that size at most. Where the newest asks fewer than half of ``max_questions``, the
    parts are also trained without it and the one before it, for that one's questions, and so on, as
    long as half of the sessions are left to them."""
    hidden: int = Field(default=32, ge=1)
    """Tanh units of the network."""
    epochs: int = Field(default=20, ge=1)
    """Passes over the questions of the held-out sessions."""
    batch_size: int = Field(default=128, ge=1)
    """Questions per step."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Peak learning rate of Adam (one cycle)."""
    weight_decay: float = Field(default=1e-5, ge=0)
    """L2 penalty."""
    max_questions: int = Field(default=40_000, ge=1)
    """Questions at most, drawn at random where a slice has too many: bounds memory."""
    seed: int = Field(default=1, ge=0)
    """Of the network; each part has its own."""

    def part(self, name: str) -> tuple[str, BaseModel]:
        """The kind and the checked settings of a part.

        Raises:
            ConfigError: its kind is unknown, or a setting is wrong.
        """
        from training.fitters import model_config

        settings = dict(self.parts[name])
        kind = str(settings.pop("kind", name))
        run_dir = settings.pop("run_dir", None)
        config = parse_config(settings, model_config(kind), f"the part {name}")
        if run_dir is not None and "checkpoint_minutes" not in type(config).model_fields:
            raise ConfigError(
                f"the part {name} has a run_dir, but {kind} keeps no checkpoints: leave it out"
            )
        return kind, config

    def run_dir(self, name: str) -> Path | None:
        """Where a run of this part on all sessions may be found."""
        run_dir = self.parts[name].get("run_dir")
        return None if run_dir is None else Path(str(run_dir))

    @field_serializer("parts")
    def _what_decides_the_model(
        self, parts: dict[str, dict[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        # Where a run was found says nothing of the model: its record is the same elsewhere.
        return {
            name: {key: value for key, value in settings.items() if key != "run_dir"}
            for name, settings in parts.items()
        }

    @field_validator("parts")
    @classmethod
    def _usable(cls, parts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if not parts:
            raise ValueError("name at least one part")
        for name, settings in parts.items():
            if not name.replace("-", "").replace("_", "").isalnum() or name in _OWN_ARRAYS:
                raise ValueError(f"a part cannot be called {name!r}")
            if settings.get("kind", name) == "two-stage":
                raise ValueError("a part cannot be a two-stage model itself")
        return parts
