"""What is searched for each model kind where the configuration does not say otherwise.

Ranges are set by hand around the recipes in configs/quality and configs/demo. Every one holds the
default of its setting, which is the first trial. A setting that a kind does not have is left away,
so that kinds of one family share one table.
"""

from __future__ import annotations

from math import floor, log10

from training.fitters import model_config
from training.tune.space import Dimension, between, one_of

Space = dict[str, Dimension]

_SEQUENCE: Space = {
    "d_model": one_of(64, 96, 128, 192, 256),
    "n_layers": between(1, 3),
    "dropout_embedding": between(0.0, 0.6),
    "dropout_residual": between(0.0, 0.4),
    "repeat_gate": one_of(True, False),
    "temperature": between(0.03, 0.2, log=True),
    "negative_power": between(0.0, 1.0),
    "epochs": between(4, 16, log=True),
    "batch_size": one_of(32, 64, 128, 256),
    "learning_rate": between(5e-4, 6e-3, log=True),
    "weight_decay": between(1e-3, 0.1, log=True),
}

_SPACES: dict[str, Space] = {
    "session-popularity": {"decay": between(0.2, 1.0)},
    "sequential-rules": {
        "steps": between(1, 30, log=True),
        "rules_per_item": between(25, 400, log=True),
        "newest_n": between(1, 20, log=True),
        "decay": between(0.2, 1.0),
    },
    "vmis-knn": {
        "sessions_per_item": between(50, 2000, log=True),
        "neighbours": between(20, 1000, log=True),
        "position_power": between(0.0, 2.0),
        "match_idf_power": between(0.0, 6.0),
        "distance_scale": between(0.5, 16.0, log=True),
        "idf_power": between(0.0, 3.0),
        "own_boost": between(0.0, 4.0),
        "last_item_factor": between(0.0, 1.0),
    },
    "item2vec": {
        "vector_size": one_of(64, 128, 192, 256),
        "window": between(2, 10, log=True),
        "epochs": between(5, 80, log=True),
        "negative": between(3, 20, log=True),
        "ns_exponent": between(-0.5, 1.0),
        "alpha": between(0.01, 0.2, log=True),
        "score_with": one_of("output", "input", "both"),
        "newest_n": between(1, 20, log=True),
        "decay": between(0.3, 1.0),
    },
    "gru4rec": _SEQUENCE,
    "transformer": _SEQUENCE,
    # Of the re-ranker; the parts keep their settings, and are trained once for all trials that
    # hold back as many sessions.
    "two-stage": {
        "depth": between(30, 120, log=True),
        "holdout": one_of(0.05, 0.1, 0.15, 0.25),
        "slices": one_of(1, 2),
        "hidden": between(8, 128, log=True),
        "epochs": between(5, 40, log=True),
        "learning_rate": between(5e-4, 1e-2, log=True),
        "weight_decay": between(1e-6, 1e-3, log=True),
    },
}

#: Half-lives cannot be searched on a logarithmic scale, as 0 switches them off.
_DAYS = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
_AGEING = ("vmis-knn", "gru4rec", "transformer")


def default_space(kind: str, has_clock: bool, sessions: int) -> Space:
    """What is searched for ``kind``; empty where there is nothing to set.

    Sessions age by days where ``ts`` is a clock, else by the number of ``sessions`` that came
    later.

    Raises:
        ConfigError: no such kind.

    >>> default_space("session-popularity", True, 1000)
    {'decay': Dimension(low=0.2, high=1.0, log=False, step=None, choices=())}
    >>> str(default_space("vmis-knn", False, 1000)["recency_half_life_sessions"])
    '(0.0, 31.0, 62.0, 120.0, 250.0, 500.0, 1000.0)'
    """
    fields = model_config(kind).model_fields
    space = dict(_SPACES.get(kind, {}))
    if kind in _AGEING and has_clock:
        space["recency_half_life_days"] = one_of(*_DAYS)
    elif kind in _AGEING:
        lives = dict.fromkeys([0.0, *(_two_digits(share * sessions) for share in _SHARES)])
        space["recency_half_life_sessions"] = one_of(*lives)
    return {name: dimension for name, dimension in space.items() if name in fields}


def _two_digits(number: float) -> float:
    return float(round(number, 1 - floor(log10(number)))) if number else 0.0
