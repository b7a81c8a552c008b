"""Settings of a search."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from session_rec.config import Config
from training.prepare.config import Rules
from training.tune.space import Dimension

Metric = Literal["mrr@20", "hr@20", "mean"]


class ModelSearch(Config):
    """What is searched for one model."""

    kind: str = ""
    """Model kind; empty: the name of the table."""
    settings: dict[str, Any] = {}
    """Settings that are not the kind's defaults. They stay as they are unless ``space`` names
    them; then the first trial has them."""
    space: dict[str, Dimension] | None = None
    """Setting -> its values; ``"parts.vmis-knn.neighbours"`` is one of a part of a two-stage model.
    None: that of training/tune/spaces.py, without what ``settings`` holds."""


class TuneConfig(Config):
    """Which models are tuned, on what, and for how long."""

    models: dict[str, ModelSearch] = {}
    """A table per model, named as it shall be called. Empty: every kind with its own space."""

    trials: int = Field(default=20, ge=1, le=10_000)
    """Trials of each model, pruned and failed ones included; a model without anything to set has
    one."""
    minutes: float | None = Field(default=None, gt=0)
    """Wall-clock time of each model: when it is over no trial begins, and a training that
    validates after each epoch stops at the end of one. The first trial always ends."""

    metric: Metric = "mrr@20"
    """What trials are compared by; ``mean``: (HR@20 + MRR@20) / 2."""
    validation: float = Field(default=0.08, gt=0, le=0.5)
    """Share of the training sessions, the newest by their ends, that trials are scored on."""
    slices: int = Field(default=1, ge=1, le=20)
    """So many such shares, one before the other: a trial trains up to each of them, and its score
    is the mean over them."""
    train_share: float = Field(default=1.0, gt=0, le=1)
    """Newest share of the sessions before a slice that trials train on: less than 1 makes them
    cheaper."""
    seed: int = Field(default=1, ge=0)
    """Of the settings that are drawn; a model's own seed is one of its settings."""
    prune: bool = True
    """Stop a training half-way or at three quarters of its epochs where its validation is below
    the median of those before it at that point."""
    prune_after: int = Field(default=4, ge=1)
    """Trials that must have ended well before one is stopped."""

    session_rules: Rules | None = None
    """What makes a session in a Parquet file (default: ``pairs``, sessions as given). A directory
    of prepared sessions has its own."""
    columns: dict[str, str] = {}
    """Our name (session_id, item_id, ts, type, seq) -> the Parquet file's, where they differ."""


def value_of(metric: Metric, hr20: float, mrr20: float) -> float:
    """What a trial with these figures is compared by.

    >>> value_of("mean", 0.6, 0.3), value_of("hr@20", 0.6, 0.3)
    (0.44999999999999996, 0.6)
    """
    if metric == "mean":
        return (hr20 + mrr20) / 2
    return hr20 if metric == "hr@20" else mrr20
