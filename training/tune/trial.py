"""One trial: the model is trained, written, loaded again and asked, like a model that is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from session_rec.bundle import save_bundle
from session_rec.evaluation.evaluate import evaluate
from session_rec.recommender import Recommender
from training.fitters import EachEpoch, FitData, Fitted, fit_model
from training.tune.data import Slice
from training.two_stage.known_parts import KnownParts


def score_settings(
    kind: str,
    settings: BaseModel,
    slices: tuple[Slice, ...],
    place: Path,
    *,
    each_epoch: EachEpoch | None = None,
    ended: Callable[[Fitted], None] | None = None,
    parts: KnownParts | None = None,
) -> tuple[float, float]:
    """HR@20 and MRR@20 (0..1) over every position, the mean over the slices.

    Scored is the saved model directory, as by every job. There is no leakage certificate: the
    directory is removed when it was scored.

    Args:
        slices: what is trained on, and scored, the newest first.
        place: for checkpoints: a trial that was stopped goes on from them.
        each_epoch: told the history after each epoch on the first slice, where there are epochs.
        ended: told the model of the first slice.
        parts: keeps the parts of models that are made of several, for later trials.

    Raises:
        UserError: it cannot be trained with these settings, or scores are not finite.
    """
    figures = []
    for number, cut in enumerate(slices):
        train, scored = cut.sessions
        data = FitData(
            train,
            scored,
            len(cut.catalog),
            place / f"slice-{number + 1}",
            each_epoch=each_epoch if number == 0 else None,
            known_parts=parts,
        )
        fitted = fit_model(kind, data, settings)
        if number == 0 and ended is not None:
            ended(fitted)
        model = place / "model"
        save_bundle(
            model,
            cut.catalog,
            fitted.predictor,
            cut.rules,
            data_fingerprint=cut.train.fingerprint,
            replace=True,
        )
        result = evaluate(
            Recommender.load(model), cut.scored, name=kind, split="validation of a search"
        )
        shutil.rmtree(model)
        figures.append((result.metrics["hr@20"], result.metrics["mrr@20"]))
    hr20, mrr20 = np.mean(figures, axis=0).tolist()
    return hr20, mrr20
