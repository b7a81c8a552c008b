"""Trains every case whose library is there: ``python fit_cases.py OUT``, a process of its own.

Writes, per case, the model directory and the scores of the model that was never saved.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from cases import CASES, N_ITEMS, probes, training_sessions

from session_rec import Catalog, Ragged, SessionRules
from session_rec.bundle import save_bundle
from session_rec.errors import UserError
from training.fitters import FitData, check_installed, fit_model, model_config


def main(out: Path) -> None:
    """Fits all cases into ``out``."""
    sessions = training_sessions()
    catalog = Catalog(
        tuple(f"item-{row}" for row in range(N_ITEMS)),
        np.bincount(sessions.rows, minlength=N_ITEMS),
    )
    contexts = Ragged.from_lists(probes())
    for case in CASES:
        try:
            check_installed(case.kind)
        except UserError:
            continue
        data = FitData(sessions, Ragged.from_lists([]), N_ITEMS, out / "runs" / case.name)
        settings = model_config(case.kind)(**case.settings)
        predictor = fit_model(case.kind, data, settings).predictor
        save_bundle(
            out / case.name, catalog, predictor, SessionRules("pairs"), data_fingerprint="0"
        )
        np.save(out / f"{case.name}.npy", predictor.score(contexts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
