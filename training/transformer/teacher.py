"""Settings of a teacher: a model whose answers a sequence model learns beside the clicks."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from session_rec.config import parse_config


class TeacherConfig(BaseModel):
    """Which model teaches, and how much of the loss its answers are (Hinton et al. 2015).

    A model that answers about what it was fitted on shows what it kept, not what it learnt: so
    the sessions are split at random, and each fold is answered by a teacher that was fitted on the
    others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "two-stage"
    """The model kind of the teacher; not item2vec, whose scores are no probabilities."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Its settings."""
    folds: int = Field(default=4, ge=2)
    """Teachers that are fitted, each on all folds of the sessions but one. Two are too few where
    sessions are (rsc15): each teacher has seen half of them."""
    best: int = Field(default=30, ge=1)
    """Items of a teacher's answer: its best, with their probabilities."""
    share: float = Field(default=0.5, gt=0, le=1)
    """Of the loss: cross entropy with the teacher's answers; the rest is that with the clicks."""

    def model(self) -> BaseModel:
        """The checked settings of the teacher's kind.

        Raises:
            ConfigError: the kind is unknown, or a setting is wrong.
        """
        from training.fitters import model_config

        return parse_config(self.settings, model_config(self.kind), f"the teacher {self.kind}")

    @model_validator(mode="after")
    def _can_be_made(self) -> TeacherConfig:
        # Now: it is needed only when the data was read, and of a part, after other parts.
        self.model()
        if self.kind == "item2vec":
            raise ValueError(
                "the scores of item2vec are no probabilities, so there is little to learn of them; "
                "choose another kind of teacher"
            )
        for name, part in self.settings.get("parts", {}).items():
            if "run_dir" in part:
                raise ValueError(
                    f"the teacher's part {name} has a run_dir, but it is trained on other sessions "
                    "for each fold; leave it out"
                )
        return self
