"""Trains two small models in the full environment, for the check of the serving install.

    python tests/serving/make_model.py DIR

DIR gets ``vmis-knn/``, ``transformer/``, ``sessions.parquet`` and ``expected.json``: what each
model says of some contexts in the environment that trained it.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import duckdb
import numpy as np

from session_rec import Catalog, Ragged, Recommender, SessionRules
from session_rec.bundle import save_bundle
from training.fitters import FitData, fit_model, model_config

ITEMS = 300
SETTINGS = {
    "vmis-knn": {},
    "transformer": {"epochs": 1, "d_model": 32, "max_length": 10, "threads": 1},
}


def main(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    rng = np.random.default_rng(5)
    walks = [
        (rng.integers(0, ITEMS) + np.cumsum(rng.integers(0, 4, rng.integers(2, 12)))) % ITEMS
        for _ in range(1200)
    ]
    sessions = Ragged.from_lists([w.tolist() for w in walks])
    counts = np.bincount(sessions.rows, minlength=ITEMS)
    catalog = Catalog(tuple(f"item-{n:03}" for n in range(ITEMS)), counts)
    contexts = [[catalog.item_ids[r] for r in walks[n][:-1]] for n in range(40)]
    contexts += [["never seen"], [], contexts[0] + ["never seen"]]
    expected = {}
    for kind, settings in SETTINGS.items():
        data = FitData(sessions, sessions.take(np.arange(50)), ITEMS, target / f"{kind}.run")
        fitted = fit_model(kind, data, model_config(kind).model_validate(settings))
        save_bundle(
            target / kind, catalog, fitted.predictor, SessionRules(), data_fingerprint="toy"
        )
        slates = Recommender.load(target / kind).recommend_many(contexts, k=20)
        expected[kind] = {
            "items": [slates.items(b) for b in range(len(slates))],
            "scores": slates.scores.tolist(),
        }
    (target / "expected.json").write_text(json.dumps({"contexts": contexts, "models": expected}))
    rows = [
        (f"s{s:03}", catalog.item_ids[r], 1_700_000_000_000 + s * 10_000 + p * 900)
        for s in range(100)
        for p, r in enumerate(walks[s].tolist())
    ]
    values = ", ".join(str(r) for r in rows)
    duckdb.sql(
        f"COPY (SELECT * FROM (VALUES {values}) t(session_id, item_id, ts)) "
        f"TO '{target / 'sessions.parquet'}' (FORMAT parquet)"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
