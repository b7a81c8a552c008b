"""The item2vec job on sessions whose truth is plain: two worlds that never meet."""

import subprocess
import sys

import numpy as np
import pytest

from session_rec import Ragged
from session_rec.errors import DataError
from training.item2vec import Item2VecConfig, fit

#: Items 0-9 are one world, 10-19 another; item 20 is never clicked.
N = 21


def two_worlds(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return Ragged.from_lists([(rng.integers(0, 10, 6) + 10 * (s % 2)).tolist() for s in range(n)])


def small(**settings):
    return Item2VecConfig(**{"vector_size": 16, "window": 3, "epochs": 15, **settings})


@pytest.mark.parametrize("score_with", ["output", "input", "both"])
@pytest.mark.parametrize("algorithm", ["skip-gram", "cbow"])
def test_a_session_stays_in_its_world(algorithm, score_with):
    settings = small(algorithm=algorithm, score_with=score_with, epochs=40, alpha=0.1)
    model, _ = fit(two_worlds(), N, settings)
    rows, _ = model.top_k(Ragged.from_lists([[1, 4], [11]]), 6)
    assert (rows[0] < 10).all()
    assert ((rows[1] >= 10) & (rows[1] < 20)).all()


def test_cosines_of_items_with_themselves_are_the_highest():
    model, _ = fit(two_worlds(), N, small(score_with="input", normalise_items=True))
    rows, scores = model.top_k(Ragged.from_lists([[7]]), 1)
    assert rows[0, 0] == 7
    assert scores[0, 0] == pytest.approx(1)


def test_what_training_never_saw_comes_last():
    model, _ = fit(two_worlds(), N, small())
    assert (model.score(Ragged.from_lists([[1], [13]])).argmin(axis=1) == 20).all()


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not():
    first, record = fit(two_worlds(), N, small(seed=5))
    again, _ = fit(two_worlds(), N, small(seed=5))
    other, _ = fit(two_worlds(), N, small(seed=6))
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])
    assert not np.array_equal(first.arrays()["context_vectors"], other.arrays()["context_vectors"])
    assert record["deterministic"] is True


def test_more_workers_are_recorded_as_not_reproducible():
    _, record = fit(two_worlds(), N, small(workers=2, epochs=2))
    assert record["deterministic"] is False


_HASH = """
import hashlib
import numpy as np
from session_rec import Ragged
from training.item2vec import Item2VecConfig, fit
rng = np.random.default_rng(0)
train = Ragged.from_lists([rng.integers(0, 50, 6).tolist() for _ in range(80)])
model, _ = fit(train, 50, Item2VecConfig(vector_size=8, epochs=3))
print(hashlib.sha256(model.arrays()["item_vectors"].tobytes()).hexdigest())
"""


def test_vectors_do_not_depend_on_pythons_hash_seed():
    digests = {
        subprocess.run(
            [sys.executable, "-c", _HASH],
            env={"PYTHONHASHSEED": seed, "PATH": "", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "12345")
    }
    assert len(digests) == 1


def test_a_session_longer_than_gensims_line_is_read():
    rng = np.random.default_rng(0)
    train = Ragged.from_lists([rng.integers(0, 20, 25_000).tolist()])
    _, record = fit(train, N, small(epochs=1))
    assert record["events"] == 25_000


def test_sessions_of_one_click_teach_nothing():
    with pytest.raises(DataError, match="no session has two events"):
        fit(Ragged.from_lists([[1], [2]]), N, small())
