"""A NaN or infinite score raises on every path, and never ranks."""

from __future__ import annotations

import numpy as np
import pytest

from session_rec import Catalog, Policy, Ragged, Recommender, SessionRules
from session_rec.errors import UserError
from session_rec.evaluation.evaluate import evaluate
from session_rec.evaluation.metrics import pessimistic_ranks
from session_rec.evaluation.replay import replay
from session_rec.event_log import SessionLog
from session_rec.predictors.base import Predictor
from session_rec.predictors.dot_products import DotProducts
from session_rec.predictors.item2vec import ContextVectorConfig, Item2Vec
from session_rec.predictors.popularity import Popularity
from session_rec.retrieval import NonFiniteScoreError

N = 30
CATALOG = Catalog(tuple(f"i{n:02}" for n in range(N)), np.arange(N))
BAD = [np.nan, np.inf, -np.inf]


class Broken(Predictor):
    """Sound but for one score of contexts that end in item 7."""

    kind = "broken"
    n_items = N

    def __init__(self, bad: float, finds_by_itself: bool = False) -> None:
        self.bad, self.finds_by_itself = bad, finds_by_itself

    def score(self, contexts):
        scores = np.tile(np.arange(N, dtype=np.float32), (len(contexts), 1))
        for b in range(len(contexts)):
            if contexts.sequence(b)[-1:].tolist() == [7]:
                scores[b, 3] = self.bad
        return scores

    def top_k(self, contexts, k, blocked=None):
        if not self.finds_by_itself:
            return super().top_k(contexts, k, blocked)
        scores = self.score(contexts)
        rows = np.tile(np.arange(k, dtype=np.int32), (len(contexts), 1))
        return rows, np.take_along_axis(scores, rows.astype(np.int64), axis=1)

    def config(self):
        return {}

    def arrays(self):
        return {}

    @classmethod
    def restore(cls, config, arrays, directory, n_items):
        raise NotImplementedError


def serving(bad: float, policy: Policy | None = None, **more: bool) -> Recommender:
    found = Recommender(CATALOG, Broken(bad, **more), SessionRules())
    return found if policy is None else found.with_policy(policy)


def log() -> SessionLog:
    items = np.array([1, 2, 7, 4], np.int32)
    return SessionLog(
        ("s",),
        np.zeros(4, np.int64),
        CATALOG.item_ids,
        items,
        np.arange(4) * 1000,
        ("view",),
        np.zeros(4, np.int16),
        np.full(4, -1),
    )


PATHS = {
    "score": lambda r: r.score(r.encode([["i01"], ["i07"]])),
    "best": lambda r: r.best(r.predictor.score(r.encode([["i07"]])), r.encode([["i07"]]), 5),
    "recommend": lambda r: r.recommend(["i07"], 5),
    "recommend_many": lambda r: r.recommend_many([["i01"], ["i07"], ["nobody"]], 5),
    "evaluate": lambda r: evaluate(r, log(), name="m", split="test"),
    "replay": lambda r: replay(r, log(), k=5),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("path", list(PATHS))
def test_every_path_raises(path, bad):
    with pytest.raises(NonFiniteScoreError, match="NaN or infinite") as error:
        PATHS[path](serving(bad))
    # The command line and the daemon end with a sentence.
    assert isinstance(error.value, UserError)


@pytest.mark.parametrize("path", ["recommend", "recommend_many", "replay"])
@pytest.mark.parametrize("bad", BAD)
def test_a_model_that_finds_its_best_by_itself_is_checked_too(path, bad):
    with pytest.raises(NonFiniteScoreError):
        PATHS[path](serving(bad, finds_by_itself=True))


def test_a_filter_does_not_hide_it():
    with pytest.raises(NonFiniteScoreError):
        serving(np.nan, Policy(blocked_items=frozenset({"i03"}))).recommend(["i07"], 5)


@pytest.mark.parametrize("path", list(PATHS))
def test_a_sound_model_answers_on_every_path(path):
    PATHS[path](serving(3.0))


def test_slots_that_a_filter_leaves_empty_are_no_broken_scores():
    everything = Policy(blocked_items=frozenset(CATALOG.item_ids[1:]))
    slate = serving(3.0, everything).recommend_many([["i07"], []], 3)
    assert slate.rows.tolist() == [[0, -1, -1]] * 2


@pytest.mark.parametrize("bad", BAD)
def test_a_fallback_slate_raises_where_the_model_itself_is_broken(bad):
    counts = np.ones(N, np.float32)
    counts[4] = bad
    r = Recommender(CATALOG, Popularity(counts), SessionRules())
    for path in (lambda: r.recommend([], 5), lambda: r.score(r.encode([[]]))):
        with pytest.raises(NonFiniteScoreError):
            path()


@pytest.mark.parametrize("bad", BAD)
def test_a_rank_is_never_read_from_such_scores(bad):
    scores = np.zeros((2, 5), np.float32)
    scores[1, 2] = bad
    with pytest.raises(NonFiniteScoreError):
        pessimistic_ranks(scores, np.array([0, 2], np.int32))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", ["context", "item"])
def test_a_broken_vector_shows_through_dot_products(place, bad):
    table = np.ones((N, 4), np.float32)
    broken = table.copy()
    broken[3, 1] = bad
    assert not np.isfinite(DotProducts(broken)(table[:2])).all()
    context, item = (broken, table) if place == "context" else (table, broken)
    model = Item2Vec(context, item, np.ones(N, np.int64), ContextVectorConfig())
    r = Recommender(CATALOG, model, SessionRules())
    with pytest.raises(NonFiniteScoreError):
        r.recommend(["i03"], 5)
    with pytest.raises(NonFiniteScoreError):
        r.score(Ragged.from_lists([[3]]))
