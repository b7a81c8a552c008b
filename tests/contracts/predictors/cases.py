"""Every model under the predictor contract. A new kind is one line in ``CASES``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from session_rec import Ragged

N_ITEMS = 300
#: The last items of the catalog were never clicked, as new articles of a shop.
N_CLICKED = 290


@dataclass(frozen=True)
class Case:
    """A model to be trained and held to the contract.

    Attributes:
        name: of the test.
        kind: as the manifest names it.
        settings: of the training; small.
        reads: the newest items of a context that may matter, by ``settings``; None: all.
        table: it scores by dot products with a table of item vectors; such a model is held to
            the contract a second time with the table read in place, as a large one is.
    """

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    reads: int | None = None
    table: bool = False


_TINY = {"d_model": 12, "n_heads": 2, "n_layers": 1, "max_length": 7, "epochs": 1, "threads": 1}
_TINY_GRU = {"d_model": 12, "n_layers": 2, "max_length": 7, "epochs": 1, "threads": 1}
_XLNET = {"architecture": "xlnet", "masking": "mlm"}

_RULES = {"kind": "sequential-rules", "rules_per_item": 20}

CASES = (
    Case("popularity", "popularity", reads=0),
    Case("session-popularity", "session-popularity"),
    Case("sequential-rules", "sequential-rules", {"rules_per_item": 20}, reads=5),
    Case("vmis-knn", "vmis-knn", {"neighbours": 20, "newest_n": 9}, reads=9),
    Case("vmis-knn, ageing", "vmis-knn", {"recency_half_life_days": 1e-4}, reads=20),
    Case(
        "item2vec", "item2vec", {"vector_size": 24, "epochs": 2, "newest_n": 6}, reads=6, table=True
    ),
    Case("gru4rec", "gru4rec", _TINY_GRU, reads=7, table=True),
    Case("transformer, GPT2", "transformer", _TINY, reads=7, table=True),
    Case("transformer, XLNet", "transformer", {**_TINY, **_XLNET}, reads=7, table=True),
    Case(
        "two-stage",
        "two-stage",
        {
            "parts": {
                "transformer": _TINY,
                "gru4rec": _TINY_GRU,
                "vmis-knn": {"neighbours": 20},
                "rules": _RULES,
            },
            "depth": 15,
            "holdout": 0.3,
            "hidden": 4,
            "epochs": 1,
        },
        reads=20,
    ),
)


def clicks(seed: int, n: int, n_items: int, longest: int) -> list[list[int]]:
    """``n`` sessions of 0 to ``longest`` items: walks with jumps and clicks on the same again."""
    rng = np.random.default_rng(seed)
    sessions = []
    for length in rng.integers(0, longest + 1, n):
        steps = rng.choice([0, 1, 2, 3, 40], length)
        start = min(rng.geometric(0.02), n_items) - 1
        sessions.append(((start + np.cumsum(steps)) % n_items).tolist())
    return sessions


def training_sessions() -> Ragged:
    """What every case is trained on."""
    return Ragged.from_lists(clicks(1, 900, N_CLICKED, 10))


def probes() -> list[list[int]]:
    """Contexts of every sort: none, one item, every length to 40, repeats, items never clicked."""
    last = N_ITEMS - 1
    lengths = [list(range(5, 5 + length)) for length in range(1, 41)]
    return [
        [],
        [0],
        [last],
        [last, last - 1, last],
        [7] * 30,
        [7, 8] * 12,
        *lengths,
        *clicks(2, 84, N_ITEMS, 25),
    ]
