"""Models that go on from the weights of an earlier one, on worlds whose truth is plain."""

import numpy as np
import pytest
import torch

from session_rec import Ragged
from session_rec.errors import UserError
from training.item2vec import Item2VecConfig, fit_vectors
from training.transformer.config import Gru4RecConfig, TransformerConfig
from training.transformer.loop import fit
from training.transformer.model import build_model, item_table, weights
from training.transformer.warm import ITEM_TABLE, go_on_from, training_weights
from training.warm_start import WarmStart

NOTHING = Ragged.from_lists([])
TINY = TransformerConfig(
    d_model=16,
    n_heads=2,
    n_layers=1,
    max_length=8,
    dropout_embedding=0.1,
    dropout_residual=0.1,
    num_negatives=12,
    batch_size=32,
    epochs=3,
    learning_rate=1e-2,
    threads=1,
)
#: Six known items in another order, and two new ones (rows 2 and 5).
GROWN = np.array([3, 1, -1, 0, 2, -1, 5, 4])


def circle(items, n_sessions, seed):
    """Sessions of 2 to 8 items that go round the circle of ``items``."""
    rng = np.random.default_rng(seed)
    starts, lengths = rng.integers(0, len(items), n_sessions), rng.integers(2, 9, n_sessions)
    return Ragged.from_lists(
        [
            [int(items[(s + i) % len(items)]) for i in range(n)]
            for s, n in zip(starts, lengths, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Weights of a transformer that has learnt the circle of six items."""
    run_dir = tmp_path_factory.mktemp("earlier")
    config = TINY.model_copy(update={"epochs": 6})
    trained = fit(circle(np.arange(6), 300, 0), NOTHING, 6, config, run_dir=run_dir)
    return training_weights(trained.model)


def test_known_items_keep_their_weights_and_new_ones_those_of_a_new_model(earlier):
    model = build_model(8, TINY.model_copy(update={"num_negatives": 0}))
    fresh = item_table(model).weight.detach()[1:].numpy().copy()
    go_on_from(WarmStart(earlier, GROWN), model)
    table = item_table(model).weight.detach().numpy()
    np.testing.assert_array_equal(table[0], 0)
    for row, before in enumerate(GROWN):
        if before >= 0:
            np.testing.assert_array_equal(table[1 + row], earlier[ITEM_TABLE][before])
    new = GROWN < 0
    # Turned as a whole: lengths and angles between new items are those of the fresh model.
    np.testing.assert_allclose(
        table[1:][new] @ table[1:][new].T, fresh[new] @ fresh[new].T, atol=1e-5
    )
    others = {n: t for n, t in weights(model).items() if "embedding_tables" not in n}
    assert len(others) > 10
    for name, tensor in others.items():
        np.testing.assert_array_equal(tensor.numpy(), earlier[name])


def test_a_rotated_start_is_turned_back(earlier):
    """What a new model would give new items, in the earlier model's own coordinates."""
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((16, 16)))
    # Enough known items to tell a rotation of 16 dimensions.
    table = rng.standard_normal((40, 16)).astype(np.float32)
    model = build_model(42, TINY.model_copy(update={"num_negatives": 0}))
    other = {n: t.numpy().copy() for n, t in weights(model).items()}
    with torch.no_grad():
        truth = rng.standard_normal((2, 16)).astype(np.float32)
        item_table(model).weight[1:] = torch.from_numpy(
            (np.concatenate([table, truth]) @ turn).astype(np.float32)
        )
    rows = np.concatenate([np.arange(40), [-1, -1]])
    go_on_from(WarmStart({**other, ITEM_TABLE: table}, rows), model)
    np.testing.assert_allclose(item_table(model).weight.detach()[41:].numpy(), truth, atol=1e-4)


def first_mrr(config, train, n_items, run_dir, start):
    """MRR@20 after one epoch on ``train``, over its own questions."""
    trained = fit(train, train, n_items, config, run_dir=run_dir, start=start)
    return trained.history[0]["mrr20"]


def test_a_warm_start_knows_what_a_cold_one_must_learn(earlier, tmp_path):
    # The same circle under the new rows; new items do not appear in it.
    rows = np.array([int(np.flatnonzero(i == GROWN)[0]) for i in range(6)])
    little = circle(rows, 20, 1)
    short = TINY.model_copy(update={"epochs": 1, "learning_rate": 1e-5, "item_start": "random"})
    warm = first_mrr(short, little, 8, tmp_path / "warm", WarmStart(earlier, GROWN))
    cold = first_mrr(short, little, 8, tmp_path / "cold", None)
    assert warm > 0.9 > 0.7 > cold


def test_a_gru_goes_on_too(tmp_path):
    config = Gru4RecConfig(
        d_model=16, max_length=8, num_negatives=12, batch_size=32, learning_rate=1e-2, threads=1
    )
    trained = fit(circle(np.arange(6), 300, 0), NOTHING, 6, config, run_dir=tmp_path / "earlier")
    rows = np.array([int(np.flatnonzero(i == GROWN)[0]) for i in range(6)])
    little = circle(rows, 20, 1)
    short = config.model_copy(update={"epochs": 1, "learning_rate": 1e-5, "item_start": "random"})
    start = WarmStart(training_weights(trained.model), GROWN)
    warm = first_mrr(short, little, 8, tmp_path / "warm", start)
    cold = first_mrr(short, little, 8, tmp_path / "cold", None)
    assert warm > 0.9 > 0.7 > cold


def test_new_items_are_learnt_from_the_new_sessions_alone(earlier, tmp_path):
    """Items 6 and 7 come after one another; the old circle is still known."""
    rows = np.concatenate([np.arange(6), [-1, -1]])
    pairs = Ragged.from_lists([[6, 7, 6, 7]] * 60 + [[0, 1, 2, 3]] * 60)
    config = TINY.model_copy(update={"epochs": 4})
    trained = fit(pairs, pairs, 8, config, run_dir=tmp_path, start=WarmStart(earlier, rows))
    assert trained.history[-1]["mrr20"] > 0.95


def test_a_checkpoint_of_another_start_is_refused(earlier, tmp_path):
    train = circle(np.arange(6), 30, 2)
    config = TINY.model_copy(update={"epochs": 1})
    fit(train, NOTHING, 6, config, run_dir=tmp_path)
    with pytest.raises(UserError, match="checkpoint of another run"):
        fit(train, NOTHING, 6, config, run_dir=tmp_path, start=WarmStart(earlier, np.arange(6)))


def test_a_model_of_another_shape_is_refused(earlier, tmp_path):
    wider = TINY.model_copy(update={"d_model": 32})
    with pytest.raises(UserError, match="train from scratch"):
        fit(
            circle(np.arange(6), 30, 2),
            NOTHING,
            6,
            wider,
            run_dir=tmp_path,
            start=WarmStart(earlier, np.arange(6)),
        )


def worlds(members, n, seed):
    """Sessions that stay among the members of one world each."""
    rng = np.random.default_rng(seed)
    return Ragged.from_lists([rng.choice(members[s % len(members)], 6).tolist() for s in range(n)])


def test_item2vec_goes_on_from_its_vectors_with_new_items():
    config = Item2VecConfig(vector_size=16, window=3, epochs=30, alpha=0.1)
    _, _, first = fit_vectors(worlds([range(10), range(10, 20)], 300, 0), 20, config)
    # Row 0 is new, all others move up by one; then only the first world is clicked, with it.
    rows = np.concatenate([[-1], np.arange(20)])
    start = WarmStart(first.training_weights(), rows)
    model, _, second = fit_vectors(worlds([range(11)], 150, 1), 21, config, start=start)
    np.testing.assert_array_equal(second.count[11:], first.count[10:])
    assert second.count[1] > first.count[0] and second.count[0] > 0
    # What was not clicked has the input vectors of before, to the bit.
    np.testing.assert_array_equal(second.inputs[11:], first.inputs[10:])
    assert not np.array_equal(second.inputs[1:11], first.inputs[:10])
    shown, _ = model.top_k(Ragged.from_lists([[5], [0]]), 11)
    assert (np.sort(shown) == np.arange(11)).all()


def test_item2vec_of_another_size_is_refused():
    config = Item2VecConfig(vector_size=8, epochs=1)
    sessions = worlds([range(4)], 5, 0)
    _, _, first = fit_vectors(sessions, 4, config)
    with pytest.raises(UserError, match="train from scratch"):
        fit_vectors(
            sessions,
            4,
            config.model_copy(update={"vector_size": 9}),
            start=WarmStart(first.training_weights(), np.arange(4)),
        )
