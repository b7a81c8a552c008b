"""What is tried for each model of the demo: one start, one grid and one search for all of them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Settings = dict[str, Any]

#: Trials per model that has settings: the same for every one of them.
BUDGET = 8
#: Settings drawn anew in each trial after the first.
CHANGES = 2

#: The first trial: the defaults, but as many epochs as the demo has time for.
START: dict[str, Settings] = {
    "popularity": {},
    "session-popularity": {"decay": 0.8},
    "sequential-rules": {"steps": 10, "rules_per_item": 100, "newest_n": 5, "decay": 0.5},
    "vmis-knn": {
        "sessions_per_item": 200,
        "neighbours": 50,
        "position_power": 1.0,
        "match_idf_power": 0.5,
        "recency_half_life_days": 0.0,
        "distance_scale": 4.0,
        "idf_power": 1.0,
        "own_boost": 2.0,
        "last_item_factor": 0.5,
    },
    "item2vec": {
        "vector_size": 128,
        "window": 5,
        "epochs": 15,
        "negative": 10,
        "ns_exponent": 0.5,
        "alpha": 0.075,
        "score_with": "output",
        "newest_n": 10,
        "decay": 0.6,
    },
    "transformer": {
        "d_model": 128,
        "n_layers": 2,
        "dropout_embedding": 0.4,
        "dropout_residual": 0.2,
        "temperature": 0.07,
        "recency_half_life_days": 0.0,
        "epochs": 5,
        "batch_size": 128,
        "learning_rate": 2e-3,
    },
}

#: Values that a setting may take. Those of item2vec and the transformer keep the training of the
#: demo's 52,000 sessions below about 75 and 180 seconds on two cores.
GRID: dict[str, dict[str, Sequence[Any]]] = {
    "popularity": {},
    "session-popularity": {"decay": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)},
    "sequential-rules": {
        "steps": (2, 5, 10, 20),
        "rules_per_item": (50, 100, 200),
        "newest_n": (2, 3, 5, 10, 20),
        "decay": (0.3, 0.5, 0.7, 0.85),
    },
    "vmis-knn": {
        "sessions_per_item": (100, 200, 500, 1000),
        "neighbours": (50, 100, 200, 400),
        "position_power": (0.5, 1.0, 1.5),
        "match_idf_power": (0.0, 0.5, 1.0, 1.5),
        "recency_half_life_days": (0.0, 15.0, 30.0, 60.0),
        "distance_scale": (1.0, 2.0, 4.0, 8.0),
        "idf_power": (0.0, 0.5, 1.0, 1.5),
        "own_boost": (0.0, 0.5, 1.0, 2.0),
        "last_item_factor": (0.1, 0.25, 0.5, 1.0),
    },
    "item2vec": {
        "vector_size": (64, 128),
        "window": (2, 3, 5, 7),
        "epochs": (10, 15, 20),
        "negative": (5, 10),
        "ns_exponent": (0.0, 0.5, 0.75, 1.0),
        "alpha": (0.025, 0.05, 0.075, 0.1),
        "score_with": ("output", "both", "input"),
        "newest_n": (3, 5, 10, 20),
        "decay": (0.45, 0.6, 0.75, 0.9),
    },
    "transformer": {
        "d_model": (64, 128),
        "n_layers": (1, 2),
        "dropout_embedding": (0.1, 0.2, 0.3, 0.4),
        "dropout_residual": (0.1, 0.2),
        "temperature": (0.05, 0.07, 0.1),
        "recency_half_life_days": (0.0, 15.0, 30.0),
        "epochs": (3, 4, 5, 6),
        "batch_size": (64, 128, 256),
        "learning_rate": (1e-3, 2e-3, 3e-3),
    },
}


@dataclass(frozen=True)
class Trial:
    """One setting of one model and its figures on the validation slice.

    Attributes:
        kind: model kind.
        number: from 1; 0 is the chosen setting, trained on all sessions.
        settings: the settings that are searched.
        share: newest share of the training sessions that it was trained on.
        hr20, mrr20: as fractions.
        train_cpu_seconds: CPU time of the training, over all threads, on one core.
    """

    kind: str
    number: int
    settings: Settings
    share: float
    hr20: float
    mrr20: float
    train_cpu_seconds: float

    @property
    def score(self) -> float:
        """What trials are compared by: HR@20 + MRR@20."""
        return self.hr20 + self.mrr20

    def to_dict(self) -> dict[str, Any]:
        """The trial as JSON-able values."""
        return asdict(self)


def budget(kind: str) -> int:
    """How many settings of ``kind`` are tried: 1 where there is nothing to set."""
    return BUDGET if GRID[kind] else 1


def best(trials: Sequence[Trial]) -> Trial:
    """The trial with the highest score; among equals the earlier one."""
    return max(trials, key=lambda t: (t.score, -t.number))


def propose(kind: str, done: Sequence[Trial], seed: int) -> Settings:
    """The next setting to try, decided by ``seed`` and the figures of the trials before.

    The first is the start; each later one is the best so far with ``CHANGES`` of its settings
    drawn anew: with eight trials in nine dimensions, independent draws would hardly ever beat the
    defaults. No setting is tried twice.

    Raises:
        ValueError: the grid is used up.
    """
    if not done:
        return dict(START[kind])
    grid = GRID[kind]
    size = 1
    for values in grid.values():
        size *= len(values)
    if len(done) >= size:
        raise ValueError(f"all {size} settings of {kind} were tried")
    draw = random.Random(f"{seed} {kind} {len(done)}")
    while True:
        settings = dict(best(done).settings)
        for name in draw.sample(list(grid), min(CHANGES, len(grid))):
            settings[name] = draw.choice([v for v in grid[name] if v != settings[name]])
        if all(settings != t.settings for t in done):
            return settings


def changed(settings: Mapping[str, Any], start: Mapping[str, Any]) -> str:
    """The settings that differ from ``start``, as text."""
    parts = [f"{k}={v}" for k, v in settings.items() if v != start[k]]
    return ", ".join(parts) or "the start"


def markdown(trials: Sequence[Trial], chosen: Sequence[Trial]) -> str:
    """Tables of the chosen settings on all sessions, and of all trials (the chosen in bold)."""
    lines = [
        "| model | HR@20 | MRR@20 | training, CPU s |",
        "| --- | --- | --- | --- |",
    ]
    for t in chosen:
        lines.append(
            f"| {t.kind} | {100 * t.hr20:.2f} | {100 * t.mrr20:.2f} | {t.train_cpu_seconds:.0f} |"
        )
    lines += [
        "",
        "| model | trial | settings, where not those of trial 1 | HR@20 | MRR@20 | CPU s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for t in trials:
        winner = t is best([o for o in trials if o.kind == t.kind])
        mark = "**" if winner else ""
        lines.append(
            f"| {t.kind} | {mark}{t.number}{mark} | {changed(t.settings, START[t.kind])} "
            f"| {mark}{100 * t.hr20:.2f}{mark} | {mark}{100 * t.mrr20:.2f}{mark} "
            f"| {t.train_cpu_seconds:.1f} |"
        )
    return "\n".join(lines) + "\n"


def demo_toml(kind: str, settings: Mapping[str, Any], chosen: Trial) -> str:
    """The text of ``configs/demo/KIND.toml``."""
    lines = [f"# session-rec train {kind} --config configs/demo/{kind}.toml"]
    if settings:
        lines += [
            f"# Chosen by benchmarks/tune_demo.py: trial {chosen.number} of {budget(kind)}, the "
            "highest HR@20 + MRR@20 on the",
            "# validation slice; every model had as many trials, and none saw the test split.",
        ]
    else:
        lines.append("# Nothing to tune.")
    lines += [
        'sessions = "runs/demo/sessions"',
        f'out = "runs/demo/models/{kind}"',
        "",
        "[model]",
        # The JSON of a string or a number is its TOML too.
        *(f"{name} = {json.dumps(value)}" for name, value in settings.items()),
    ]
    return "\n".join(lines) + "\n"
