"""Models, one file each, under one contract (:mod:`session_rec.predictors.base`)."""

from __future__ import annotations

from importlib import import_module

from session_rec.errors import BundleError
from session_rec.predictors.base import Predictor

#: Model kind -> the class that serves it. A new model is one file and one line here.
_KINDS = {
    "popularity": "session_rec.predictors.popularity:Popularity",
    "session-popularity": "session_rec.predictors.session_popularity:SessionPopularity",
    "sequential-rules": "session_rec.predictors.sequential_rules:SequentialRules",
    "vmis-knn": "session_rec.predictors.vmis_knn:VmisKnn",
    "item2vec": "session_rec.predictors.item2vec:Item2Vec",
    "gru4rec": "session_rec.predictors.gru4rec:Gru4RecPredictor",
    "transformer": "session_rec.predictors.transformer:TransformerPredictor",
    "two-stage": "session_rec.predictors.two_stage:TwoStage",
}


def predictor_kinds() -> tuple[str, ...]:
    """The model kinds that can be loaded.

    >>> "vmis-knn" in predictor_kinds()
    True
    """
    return tuple(_KINDS)


def predictor_class(kind: str) -> type[Predictor]:
    """The class that serves ``kind``, imported when asked for.

    Raises:
        BundleError: no such kind.

    >>> predictor_class("popularity").__name__
    'Popularity'
    """
    if kind not in _KINDS:
        raise BundleError(f"unknown model kind {kind!r}; this version serves {', '.join(_KINDS)}")
    module, name = _KINDS[kind].split(":")
    cls: type[Predictor] = getattr(import_module(module), name)
    return cls


__all__ = ["Predictor", "predictor_class", "predictor_kinds"]
