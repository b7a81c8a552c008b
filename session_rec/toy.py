"""A shop of a few clicks, written out in words: what the examples of docstrings are made of.

Nothing of the engine uses it. Items are named between spaces, and clicks come a minute apart.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from session_rec.bundle import save_bundle
from session_rec.catalog import Catalog
from session_rec.evaluation.compare import compare
from session_rec.evaluation.comparison import Comparison
from session_rec.evaluation.evaluate import Evaluation, evaluate
from session_rec.evaluation.outcomes import Outcomes
from session_rec.event_log import SessionLog
from session_rec.predictors.popularity import Popularity
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules


def toy_log(*sessions: str) -> SessionLog:
    """The sessions as a log, with the ids ``s0``, ``s1``, …, each from the time 0.

    >>> log = toy_log("pear plum", "pear")
    >>> log.session_ids, log.item_ids
    (('s0', 's1'), ('pear', 'plum'))
    >>> log.session, log.item, log.ts
    (array([0, 0, 1]), array([0, 1, 0], dtype=int32), array([    0, 60000,     0]))
    """
    words = [s.split() for s in sessions]
    clicks = [item for s in words for item in s]
    item_ids = tuple(dict.fromkeys(clicks))
    return SessionLog(
        tuple(f"s{i}" for i in range(len(words))),
        np.repeat(np.arange(len(words)), [len(s) for s in words]),
        item_ids,
        np.array([item_ids.index(item) for item in clicks], np.int32),
        np.array([60_000 * minute for s in words for minute in range(len(s))], np.int64),
        ("view",),
        np.zeros(len(clicks), np.int16),
        np.full(len(clicks), -1, np.int64),
        fingerprint=_fingerprint(sessions),
    )


def toy_recommender(*sessions: str) -> Recommender:
    """A model that shows what was clicked most in ``sessions`` first, and knows no other item.

    >>> toy_recommender("pear plum", "plum").recommend(["pear"])
    [('plum', 2.0), ('pear', 1.0)]
    """
    catalog = Catalog.from_counts(Counter(" ".join(sessions).split()))
    model = Popularity(catalog.count.astype(np.float32))
    return Recommender(catalog, model, SessionRules(), _fingerprint(sessions)[:16])


def toy_directory(*sessions: str, **recorded: Any) -> Path:
    """:func:`toy_recommender` as a model directory in a new temporary one.

    ``recorded`` are further arguments of :func:`session_rec.bundle.save_bundle`.

    >>> sorted(file.name for file in toy_directory("pear plum").iterdir())
    ['catalog.json', 'manifest.json', 'weights.safetensors']
    """
    model, target = toy_recommender(*sessions), Path(tempfile.mkdtemp()) / "model"
    save_bundle(
        target,
        model.catalog,
        model.predictor,
        model.rules,
        data_fingerprint=_fingerprint(sessions),
        **recorded,
    )
    return target


def toy_evaluation(recommender: Recommender, *sessions: str, name: str = "toy") -> Evaluation:
    """How ``recommender`` does on ``sessions``, with what it showed.

    >>> toy_evaluation(toy_recommender("pear plum pear"), "plum pear plum").ranks
    array([1, 2])
    """
    return evaluate(recommender, toy_log(*sessions), name=name, split="toy", keep_shown=True)


def toy_outcomes(recommender: Recommender, *sessions: str, name: str = "toy") -> Outcomes:
    """:func:`toy_evaluation` question by question.

    >>> toy_outcomes(toy_recommender("pear plum pear"), "plum pear plum").rank
    array([1, 2])
    """
    evaluation = toy_evaluation(recommender, *sessions, name=name)
    return Outcomes.of(evaluation, recommender, toy_log(*sessions))


def toy_comparison() -> Comparison:
    """Model B, which shows the right item first in both of two sessions, against A, which never
    does.

    >>> [(d.metric, d.a, d.b) for d in toy_comparison().differences]
    [('hr@1', 0.0, 1.0)]
    """
    a, b = (
        toy_outcomes(toy_recommender(clicked), "fig pear", "plum pear", name=name)
        for name, clicked in (("A", "fig fig pear plum"), ("B", "pear pear fig plum"))
    )
    return compare(a, b, metrics=("hr@1",), resamples=100)


def _fingerprint(sessions: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(sessions).encode()).hexdigest()
