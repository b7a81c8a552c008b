from __future__ import annotations

import numpy as np
import pytest

from session_rec.predictors import dot_products
from session_rec.predictors.dot_products import DotProducts


@pytest.mark.parametrize("packed_bytes", [dot_products.PACKED_BYTES, 0], ids=["packed", "in place"])
@pytest.mark.parametrize("n,d", [(1, 1), (60, 16), (500, 64), (3000, 128), (7, 200), (90, 300)])
def test_scores_are_dot_products_whose_bits_no_batch_changes(
    n: int, d: int, packed_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dot_products, "PACKED_BYTES", packed_bytes)
    rng = np.random.default_rng(0)
    table = rng.standard_normal((n, d)).astype(np.float32)
    table.flags.writeable = False
    vectors = rng.standard_normal((130, d)).astype(np.float32)
    scorer = DotProducts(table)
    together = scorer(vectors)
    exact = vectors.astype(np.float64) @ table.astype(np.float64).T
    np.testing.assert_allclose(together, exact, atol=1e-4)
    for size in (1, 2, 3, 4, 7, 8, 12, 15, 16, 33, 64, 65, 129):
        which = rng.permutation(130)[:size]
        assert np.array_equal(scorer(vectors[which]), together[which])


@pytest.mark.parametrize("packed_bytes", [dot_products.PACKED_BYTES, 0], ids=["packed", "in place"])
def test_rows_of_the_table_are_divided(packed_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dot_products, "PACKED_BYTES", packed_bytes)
    scorer = DotProducts(np.array([[3, 4], [0, 2]], np.float32), np.array([5, 2], np.float32))
    np.testing.assert_allclose(scorer(np.array([[1, 2]], np.float32)), [[11 / 5, 2]], rtol=1e-6)


def test_no_vectors_give_no_scores() -> None:
    scorer = DotProducts(np.ones((4, 2), np.float32))
    assert scorer(np.zeros((0, 2), np.float32)).shape == (0, 4)
