import numpy as np

from session_rec import Ragged
from session_rec.predictors.session_popularity import SessionPopularity, SessionPopularityConfig

TRAIN = Ragged.from_lists([[0, 0, 0, 3], [3, 1]])


def test_clicks_of_the_context_decay_with_their_age():
    model = SessionPopularity.fit(TRAIN, 5, SessionPopularityConfig(decay=0.5))
    scores = model.score(Ragged.from_lists([[2, 1, 2]]))[0]
    assert scores[2] == 1 + 0.25  # clicked last and two clicks before
    assert scores[1] == 0.5
    assert (scores[[0, 3, 4]] < 0).all()


def test_a_slate_goes_on_with_the_popular_items():
    model = SessionPopularity.fit(TRAIN, 5)
    rows, _ = model.top_k(Ragged.from_lists([[1]]), 5)
    assert rows.tolist() == [[1, 0, 3, 2, 4]]


def test_without_decay_clicks_are_counted():
    model = SessionPopularity.fit(TRAIN, 5, SessionPopularityConfig(decay=1.0))
    scores = model.score(Ragged.from_lists([[2, 2, 2, 4]]))[0]
    assert np.flatnonzero(scores > 0).tolist() == [2, 4]
    assert scores[2] == 3 and scores[4] == 1
