"""Models that know too much, and one that does not."""

from __future__ import annotations

import numpy as np
import pytest

from session_rec.catalog import Catalog
from session_rec.predictors.base import Predictor
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules
from training.leakage import random_data

N_ITEMS = 50


class LastItem(Predictor):
    """Scores by the last item of a context alone: nothing leaks."""

    kind = "last-item"

    def __init__(self, n_items: int = N_ITEMS) -> None:
        self.n_items = n_items
        self.table = np.random.default_rng(4).normal(size=(n_items, n_items)).astype(np.float32)

    def score(self, contexts):
        scores = np.zeros((len(contexts), self.n_items), np.float32)
        for b in range(len(contexts)):
            if contexts.lengths[b]:
                scores[b] = self.table[contexts.sequence(b)[-1]]
        return scores

    def config(self):
        return {}

    def arrays(self):
        return {}

    @classmethod
    def restore(cls, config, arrays, directory, n_items):
        return cls(n_items)


def serving(predictor: Predictor) -> Recommender:
    n = predictor.n_items
    catalog = Catalog(tuple(f"i{i:03}" for i in range(n)), np.ones(n, np.int64))
    return Recommender(catalog, predictor, SessionRules(max_length=10))


@pytest.fixture
def fresh_random_data():
    """Trains on random sessions anew, whatever an earlier test found."""
    random_data.forget()
    yield
    random_data.forget()
