"""The batched memory of a visit against a plain list."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.shop.config import CARTED, MEMORY, NEW, SEEN
from training.shop.history import History

steps = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 2)), max_size=40)


@settings(max_examples=150, deadline=None)
@given(steps, steps)
def test_memory_is_a_move_to_front_list(left: list[tuple[int, int]], right: list) -> None:
    events = list(zip(left, right, strict=False))
    history = History.empty(2)
    models: list[list[tuple[int, bool]]] = [[], []]  # newest first: item, in the cart
    for pair in events:
        items, types = np.array([e[0] for e in pair]), np.array([e[1] for e in pair])
        expected = [dict(model).get(e[0]) for model, e in zip(models, pair, strict=True)]
        status = [NEW if cart is None else CARTED if cart else SEEN for cart in expected]
        assert history.status(items).tolist() == status
        history.observe(items, types)
        for model, (item, kind) in zip(models, pair, strict=True):
            cart = dict(model).get(item, False)
            model[:] = [entry for entry in model if entry[0] != item]
            model.insert(0, (item, (cart or kind == 1) and kind != 2))
            del model[MEMORY:]
        for row, model in enumerate(models):
            padded = [item for item, _ in model] + [-1] * (MEMORY - len(model))
            assert history.items[row].tolist() == padded
            assert history.carted[row, : len(model)].tolist() == [cart for _, cart in model]
    assert history.length.tolist() == [len(events)] * 2
