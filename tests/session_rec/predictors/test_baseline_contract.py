"""What every predictor made of arrays promises: no company, exact top-k, the same after saving."""

import numpy as np
import pytest

from session_rec import Catalog, Ragged, Recommender, SessionRules
from session_rec.bundle import save_bundle
from session_rec.predictors.item2vec import ContextVectorConfig, Item2Vec
from session_rec.predictors.popularity import Popularity
from session_rec.predictors.sequential_rules import SequentialRules
from session_rec.predictors.session_popularity import SessionPopularity
from session_rec.predictors.vmis_knn import VmisKnn, VmisKnnConfig
from session_rec.retrieval import top_k

N = 500


def sessions(seed, n):
    rng = np.random.default_rng(seed)
    return [
        np.minimum(rng.geometric(0.02, rng.integers(0, 12)) - 1, N - 1).tolist() for _ in range(n)
    ]


def item2vec(train):
    rng = np.random.default_rng(3)
    tables = [rng.standard_normal((N, 24)).astype(np.float32) for _ in range(2)]
    count = np.bincount(train.rows, minlength=N)
    return Item2Vec.from_vectors(*tables, count, ContextVectorConfig())


MAKERS = {
    "popularity": lambda train: Popularity.fit(train, N),
    "session-popularity": lambda train: SessionPopularity.fit(train, N),
    "sequential-rules": lambda train: SequentialRules.fit(train, N),
    "vmis-knn": lambda train: VmisKnn.fit(
        train, N, VmisKnnConfig(neighbours=20, recency_half_life_days=1e-4)
    ),
    "item2vec": item2vec,
}


@pytest.fixture(params=MAKERS, scope="module")
def model(request):
    return MAKERS[request.param](Ragged.from_lists(sessions(1, 2000)))


@pytest.fixture(scope="module")
def contexts():
    return Ragged.from_lists([[], [N - 1], *sessions(2, 126)])


def test_scores_are_finite_and_whole(model, contexts):
    got = model.score(contexts)
    assert got.shape == (128, N) and got.dtype == np.float32
    assert np.isfinite(got).all()


def test_scores_do_not_depend_on_company(model, contexts):
    together = model.score(contexts)
    for b in range(0, 128, 7):
        np.testing.assert_array_equal(model.score(contexts.take(np.array([b])))[0], together[b])
    shuffled = np.random.default_rng(4).permutation(128)
    for size in (2, 3, 17, 64):
        for start in range(0, 128, size):
            which = shuffled[start : start + size]
            np.testing.assert_array_equal(model.score(contexts.take(which)), together[which])


def test_top_k_is_score_then_sort(model, contexts):
    blocked = np.random.default_rng(5).random((128, N)) < 0.5
    for mask in (None, blocked[0], blocked):
        expected = top_k(model.score(contexts), 20, mask)
        for got, want in zip(model.top_k(contexts, 20, mask), expected, strict=True):
            np.testing.assert_array_equal(got, want)


def test_the_saved_model_is_the_same_to_the_bit(model, contexts, tmp_path):
    count = np.bincount(Ragged.from_lists(sessions(1, 2000)).rows, minlength=N)
    catalog = Catalog(tuple(f"i{r}" for r in range(N)), count)
    for name in ("a", "b"):
        save_bundle(tmp_path / name, catalog, model, SessionRules("pairs"), data_fingerprint="0")
    loaded = Recommender.load(tmp_path / "a").predictor
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.score(contexts), model.score(contexts))
    for name in ("manifest.json", "weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    save_bundle(tmp_path / "c", catalog, loaded, SessionRules("pairs"), data_fingerprint="0")
    assert (tmp_path / "c" / "manifest.json").read_bytes() == (
        tmp_path / "a" / "manifest.json"
    ).read_bytes()


def test_a_model_of_no_sessions_still_answers():
    empty = Ragged.from_lists([])
    for name in ("popularity", "session-popularity", "sequential-rules", "vmis-knn"):
        got = MAKERS[name](empty)
        assert np.isfinite(got.score(Ragged.from_lists([[1, 2]]))).all(), name
