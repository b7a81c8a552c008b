from __future__ import annotations

import numpy as np

from session_rec.ragged import Ragged
from training.transformer.cooccurrence import cooccurrence_vectors


def test_items_clicked_together_lie_together() -> None:
    rng = np.random.default_rng(0)
    # Two departments of six items; no session crosses, and item 12 is never clicked with another.
    sessions = [
        (rng.permutation(6)[:4] + 6 * department).tolist()
        for department in (0, 1)
        for _ in range(100)
    ]
    vectors = cooccurrence_vectors(Ragged.from_lists([*sessions, [12]]), 13, 4, seed=0)
    cosines = vectors @ vectors.T
    assert cosines[:6, :6].min() > 0.3
    assert cosines[6:12, 6:12].min() > 0.3
    assert np.abs(cosines[:6, 6:12]).max() < 0.1
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_the_same_seed_gives_the_same_vectors_and_more_dimensions_than_items_are_fine() -> None:
    sessions = Ragged.from_lists([[0, 1, 2], [2, 1]])
    first = cooccurrence_vectors(sessions, 3, 8, seed=1)
    assert first.shape == (3, 8) and first.dtype == np.float32
    assert np.array_equal(first, cooccurrence_vectors(sessions, 3, 8, seed=1))


def test_sessions_without_any_pair_start_at_random() -> None:
    vectors = cooccurrence_vectors(Ragged.from_lists([[0, 0], [1]]), 2, 4, seed=0)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
