"""A model whose slates tell the whole context apart, and the slates that it must give."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from naive_stream import Click, Semantics
from numpy.typing import NDArray

from session_rec.catalog import Catalog
from session_rec.events import type_code
from session_rec.predictors.base import Arrays, Files, Predictor
from session_rec.ragged import Ragged
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules

ITEM_IDS = ("i0", "i1", "i2", "i3", "i4")
COUNTS = (5, 9, 2, 9, 1)  # the popular slate is i1, i3, i0, i2, i4
K = 3
FINGERPRINT = "0123456789abcdef"


class Checksums(Predictor):
    """Scores are checksums of items, times and types: one entry less and the slate is another."""

    kind = "checksums"
    inputs = ("items", "ts", "types")
    n_items = len(ITEM_IDS)

    def score(self, contexts: Ragged) -> NDArray[np.float32]:
        lines = []
        for begin, end in zip(contexts.offsets[:-1], contexts.offsets[1:], strict=True):
            part = slice(begin, end)
            columns = (contexts.rows[part], contexts.ts[part], contexts.types[part])
            lines.append(_checksums(list(zip(*(c.tolist() for c in columns), strict=True))))
        return np.array(lines, np.float32).reshape(len(contexts), self.n_items)

    def config(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> Arrays:
        return {}

    @classmethod
    def restore(cls, config: Any, arrays: Arrays, files: Files, n_items: int) -> Self:
        return cls()


def _checksums(entries: Sequence[tuple[int, int, int]]) -> list[int]:
    return [zlib.crc32(repr((n, entries)).encode()) % 10_007 for n in range(len(ITEM_IDS))]


def recommender(how: Semantics) -> Recommender:
    catalog = Catalog(ITEM_IDS, np.array(COUNTS, np.int64))
    return Recommender(catalog, Checksums(), session_rules(how), FINGERPRINT)


def session_rules(how: Semantics) -> SessionRules:
    return SessionRules(how.name, how.max_length, how.inactivity, how.horizon)  # type: ignore[arg-type]


def slate(context: Sequence[Click]) -> dict[str, Any]:
    """The fields of a prediction that the model decides, for this context."""
    known = [c for c in context if c.item in ITEM_IDS]
    entries = [(ITEM_IDS.index(c.item), c.ts, type_code(c.type)) for c in known]
    scores = _checksums(entries) if known else list(COUNTS)
    best = sorted(range(len(ITEM_IDS)), key=lambda row: (-scores[row], row))[:K]
    return {
        "model": FINGERPRINT,
        "items": [ITEM_IDS[row] for row in best],
        "scores": [float(scores[row]) for row in best],
        "known_items": len(known),
        "fallback": not known,
    }
