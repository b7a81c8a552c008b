from __future__ import annotations

import numpy as np
import pytest

from session_rec.predictors import dot_products
from session_rec.predictors.dot_products import DotProducts


@pytest.mark.parametrize("n,d", [(1, 1), (60, 16), (500, 64), (3000, 128), (7, 200)])
def test_scores_are_dot_products_whose_bits_no_batch_changes(n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((n, d)).astype(np.float32)
    vectors = rng.standard_normal((130, d)).astype(np.float32)
    scorer = DotProducts(table)
    together = scorer(vectors)
    exact = vectors.astype(np.float64) @ table.astype(np.float64).T
    np.testing.assert_allclose(together, exact, atol=1e-4)
    for size in (1, 2, 3, 4, 7, 8, 12, 15, 16, 33, 64, 65, 129):
        which = rng.permutation(130)[:size]
        assert np.array_equal(scorer(vectors[which]), together[which])


def test_a_table_too_large_for_one_session_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((50, 8)).astype(np.float32)
    vectors = rng.standard_normal((3, 8)).astype(np.float32)
    whole = DotProducts(table)(vectors)
    monkeypatch.setattr(dot_products, "_MAX_NUMBERS", 8 * 20)
    np.testing.assert_allclose(DotProducts(table)(vectors), whole, rtol=1e-5)


def test_no_vectors_give_no_scores() -> None:
    scorer = DotProducts(np.ones((4, 2), np.float32))
    assert scorer(np.zeros((0, 2), np.float32)).shape == (0, 4)
