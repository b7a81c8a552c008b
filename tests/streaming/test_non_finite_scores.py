"""A broken model emits nothing: the daemon ends with the error, and nothing is committed."""

from __future__ import annotations

import numpy as np
import pytest

from session_rec.catalog import Catalog
from session_rec.predictors.popularity import Popularity
from session_rec.recommender import Recommender
from session_rec.retrieval import NonFiniteScoreError
from session_rec.sessions import Entry, SessionRules
from streaming.dead_letters import DeadLetters
from streaming.pipeline import Pipeline, Question


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("item", ["a", "never seen"])
def test_no_prediction_is_made_of_a_score_that_is_not_finite(bad, item):
    recommender = Recommender(
        Catalog(("a", "b", "c"), np.array([3, 2, 1])),
        Popularity(np.array([3, bad, 1], np.float32)),
        SessionRules(),
    )
    pipeline = Pipeline(recommender, DeadLetters("dead", 1000), "predictions", k=2)
    question = Question("t-0-0", "s", 0, True, [Entry(0, 0, 0, item, "view", 0)])
    with pytest.raises(NonFiniteScoreError):
        list(pipeline.answer([question]))
