from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from session_rec.ragged import Ragged
from training.transformer.batches import (
    epoch_batches,
    pad,
    prefixes,
    training_sessions,
)


def test_sessions_are_cut_to_the_newest_inputs_and_the_last_target() -> None:
    sessions, kept = training_sessions(
        Ragged.from_lists([[1, 2, 3, 4, 5], [7], [8, 9]]), max_length=3
    )
    assert [sessions.sequence(i).tolist() for i in range(2)] == [[2, 3, 4, 5], [8, 9]]
    assert kept.tolist() == [0, 2]


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(2, 30), min_size=1, max_size=400),
    batch_size=st.integers(1, 64),
    seed=st.integers(0, 5),
)
def test_an_epoch_holds_every_session_once_in_a_seeded_order(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    array = np.array(lengths)
    batches = epoch_batches(array, batch_size, seed, epoch=0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(batch) <= batch_size + 1 for batch in batches)
    again = epoch_batches(array, batch_size, seed, epoch=0)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_no_batch_is_left_with_one_session() -> None:
    batches = epoch_batches(np.full(65, 4), 32, seed=0, epoch=0)
    assert sorted(len(batch) for batch in batches) == [32, 33]


def test_batches_are_alike_in_length_and_change_with_the_epoch() -> None:
    lengths = np.random.default_rng(0).integers(2, 21, 3200)
    first = epoch_batches(lengths, 32, seed=0, epoch=0)
    assert np.mean([np.ptp(lengths[batch]) for batch in first]) < 1
    second = epoch_batches(lengths, 32, seed=0, epoch=1)
    assert not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_padding_is_zero_on_the_right_and_ids_are_rows_plus_one() -> None:
    sessions = Ragged.from_lists([[0, 1, 2], [5]])
    assert pad(sessions, np.array([1, 0])).tolist() == [[6, 0, 0], [1, 2, 3]]
    assert pad(sessions, np.array([1]), width=4).tolist() == [[6, 0, 0, 0]]


def test_every_position_but_the_first_is_asked_with_the_newest_items_before_it() -> None:
    contexts, targets = prefixes(Ragged.from_lists([[1, 2, 3, 4], [5], [6, 7]]), max_length=2)
    asked = [contexts.sequence(i).tolist() for i in range(len(contexts))]
    assert asked == [[1], [1, 2], [2, 3], [6]]
    assert targets.tolist() == [2, 3, 4, 7]
