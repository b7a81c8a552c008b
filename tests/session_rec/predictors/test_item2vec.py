import numpy as np
import pytest

from session_rec import Ragged
from session_rec.errors import BundleError
from session_rec.predictors.base import Files
from session_rec.predictors.item2vec import ContextVectorConfig, Item2Vec

#: Items 0 and 1 point apart; candidates 2 and 3 follow them; 4 was never clicked.
CONTEXT = np.array([[1, 0], [0, 1], [0, 0], [0, 0], [0, 0]], np.float32)
ITEM = np.array([[0, 0], [0, -1], [1, 0], [0, 1], [0, 0]], np.float32)
COUNT = np.array([3, 2, 2, 9, 0])


def scores(context, **settings):
    model = Item2Vec.from_vectors(CONTEXT, ITEM, COUNT, ContextVectorConfig(**settings))
    return model.score(Ragged.from_lists([context]))[0]


def test_the_context_is_the_weighted_mean_of_its_newest_items():
    got = scores([0, 1], decay=0.5)
    assert got[3] == pytest.approx(1 / 1.5)
    assert got[2] == pytest.approx(0.5 / 1.5)
    assert got[1] == pytest.approx(-1 / 1.5)
    assert scores([0, 1], newest_n=1).tolist()[:4] == [0, -1, 0, 1]


def test_items_without_clicks_come_last():
    assert scores([1]).argmin() == 4


def test_the_empty_context_gets_the_popular_order():
    assert np.argsort(-scores([]), kind="stable").tolist() == [3, 0, 1, 2, 4]


def test_the_length_of_a_table_changes_no_order():
    large = Item2Vec.from_vectors(1e3 * CONTEXT, 1e3 * ITEM, COUNT, ContextVectorConfig())
    got = large.score(Ragged.from_lists([[0, 1]]))[0]
    np.testing.assert_allclose(got, scores([0, 1]), rtol=1e-6)
    assert np.abs(got[:4]).max() <= 1


def test_vectors_of_another_catalog_are_refused(tmp_path):
    model = Item2Vec.from_vectors(CONTEXT, ITEM, COUNT, ContextVectorConfig())
    with pytest.raises(BundleError, match="vectors of 6 items"):
        Item2Vec.restore(model.config(), model.arrays(), Files(tmp_path), 6)
