"""What every model promises of its answers. The list of models is in ``cases.py``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from session_rec import Policy, Ragged
from session_rec.errors import ConfigError
from session_rec.predictors import predictor_kinds

from .cases import CASES, N_ITEMS, probes
from .conftest import K, Model, item_ids, read_only

#: The first test waits for the trainings, which a busy machine may hold up.
pytestmark = pytest.mark.timeout(600)
#: Shows everything; one mask for all contexts; few items left; none left.
SHARES_BLOCKED = (0.0, 0.5, 0.99, 1.0)

examples = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def sorted_slates(
    scores: NDArray[np.float32], k: int, blocked: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The contract in Python: all that may be shown, by score descending, then row ascending."""
    rows = np.full((len(scores), k), -1, np.int32)
    best = np.full((len(scores), k), -np.inf, np.float32)
    for b, line in enumerate(scores.tolist()):
        hidden = np.zeros(len(line), bool) if blocked is None else blocked
        hidden = hidden[b] if hidden.ndim == 2 else hidden
        order = sorted((-s, row) for row, s in enumerate(line) if not hidden[row])[:k]
        rows[b, : len(order)] = [row for _, row in order]
        best[b, : len(order)] = [-s for s, _ in order]
    return rows, best


def assert_same(got: tuple[NDArray, ...], want: tuple[NDArray, ...]) -> None:
    """Bit for bit, with the same shapes and dtypes."""
    for a, b in zip(got, want, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert a.tobytes() == b.tobytes()


def test_every_kind_that_can_be_served_is_held_to_the_contract():
    missing = set(predictor_kinds()) - {case.kind for case in CASES}
    assert not missing, f"add to CASES in {__package__}.cases: {missing}"


@pytest.mark.parametrize("n_contexts", [0, 1, 2, 65])
def test_shapes_and_kinds_of_numbers(model: Model, n_contexts: int):
    contexts = read_only(model.contexts.take(np.arange(n_contexts)))
    scores = model.predictor.score(contexts)
    assert model.predictor.n_items == N_ITEMS
    assert (scores.shape, scores.dtype) == ((n_contexts, N_ITEMS), np.float32)
    rows, best = model.predictor.top_k(contexts, 20)
    assert (rows.shape, rows.dtype) == ((n_contexts, 20), np.int32)
    assert (best.shape, best.dtype) == ((n_contexts, 20), np.float32)
    for array in (scores, rows, best):
        assert array.flags.c_contiguous
    assert np.isfinite(scores).all() and np.isfinite(best).all()


def test_a_result_belongs_to_the_caller(model: Model):
    for _ in range(2):
        scores = model.predictor.score(model.contexts)
        assert_same((scores,), (model.alone,))
        scores[:] = np.nan
        rows, best = model.predictor.top_k(model.contexts, 3)
        rows[:], best[:] = 0, np.nan


@pytest.mark.parametrize("k", [1, 20, N_ITEMS, N_ITEMS + 7])
def test_top_k_is_score_then_an_exact_sort(model: Model, k: int):
    rng = np.random.default_rng(k)
    few = read_only(model.contexts.take(rng.permutation(len(model.contexts))[:12]))
    scores = model.predictor.score(few)
    masks = [None]
    for share in SHARES_BLOCKED:
        for shape in (N_ITEMS, (len(few), N_ITEMS)):
            masks.append(rng.random(shape) < share)
            masks[-1].flags.writeable = False
    for mask in masks:
        assert_same(model.predictor.top_k(few, k, mask), sorted_slates(scores, k, mask))


def test_company_changes_no_bit_for_any_size_of_batch(model: Model):
    k = 10
    slates = sorted_slates(model.alone, k, None)
    rng = np.random.default_rng(8)
    for size in range(1, 65):
        which = rng.permutation(len(model.contexts))[:size]
        batch = read_only(model.contexts.take(which))
        assert_same((model.predictor.score(batch),), (model.alone[which],))
        if size in (1, 2, 3, 13, 64):
            assert_same(model.predictor.top_k(batch, k), tuple(s[which] for s in slates))


@examples
@given(data=st.data())
def test_company_changes_no_bit_of_drawn_batches(model: Model, data: st.DataObject):
    places = st.integers(0, len(model.contexts) - 1)
    size = data.draw(st.integers(1, 130))
    which = np.array(data.draw(st.lists(places, min_size=size, max_size=size)))
    batch = read_only(model.contexts.take(which))
    assert_same((model.predictor.score(batch),), (model.alone[which],))

    contexts = probes()
    together = model.recommender.recommend_many(item_ids([contexts[b] for b in which]), K)
    alone = [model.slate(b) for b in which.tolist()]
    assert_same((together.rows,), (np.concatenate([s.rows for s in alone]),))
    assert_same((together.scores,), (np.concatenate([s.scores for s in alone]),))
    assert together.fallback.tolist() == [not contexts[b] for b in which]


def test_the_recommender_shows_what_the_model_ranks(model: Model):
    contexts = [*probes(), [], [7]]
    ranked = np.concatenate([model.alone, model.alone[:2]])
    ranked[-1] = model.predictor.score(Ragged.from_lists([[7]]))[0]
    ranked[[not context for context in contexts]] = model.recommender.catalog.count
    blocked = frozenset(f"item-{row}" for row in range(0, N_ITEMS, 3))
    shown = np.arange(N_ITEMS) % 3 != 0
    for exclude_seen in (False, True):
        hidden = np.tile(~shown, (len(contexts), 1))
        for b, context in enumerate(contexts):
            hidden[b, context] |= exclude_seen
        policy = Policy(exclude_seen=exclude_seen, blocked_items=blocked)
        slates = model.recommender.with_policy(policy).recommend_many(item_ids(contexts), 9)
        assert_same((slates.rows, slates.scores), sorted_slates(ranked, 9, hidden))


def test_without_a_known_item_the_popular_slate_is_shown(model: Model):
    count = model.recommender.catalog.count
    popular = sorted_slates(count[None].astype(np.float32), 5, None)
    slates = model.recommender.recommend_many([[], ["nobody"], ["nobody", "knows"] * 20], 5)
    assert slates.fallback.all() and not slates.known.any()
    assert_same((slates.rows, slates.scores), tuple(np.repeat(p, 3, axis=0) for p in popular))


def test_unknown_items_do_not_count_among_those_that_are_read(model: Model):
    contexts = probes()[1:]
    unknown = [
        [word for item in items for word in (item, "nobody")] for items in item_ids(contexts)
    ]
    got = model.recommender.recommend_many(unknown, 6)
    want = model.recommender.recommend_many(item_ids(contexts), 6)
    assert_same((got.rows, got.scores, got.known), (want.rows, want.scores, want.known))
    assert not got.fallback.any()


def test_a_filter_leaves_a_shorter_slate_never_junk(model: Model):
    shown = ["item-3", "item-250", "item-299"]
    for left in (shown, []):
        blocked = frozenset(model.recommender.catalog.item_ids) - set(left)
        recommender = model.recommender.with_policy(Policy(blocked_items=blocked))
        slates = recommender.recommend_many([["item-5", "item-3"], [], ["nobody"]], 4)
        for b in range(3):
            assert sorted(slates.items(b)) == sorted(left)
        assert (slates.rows[:, len(left) :] == -1).all()
        assert np.isneginf(slates.scores[:, len(left) :]).all()
        assert recommender.recommend(["item-5"], 4) == list(
            zip(
                slates.items(0), recommender.recommend_many([["item-5"]], 4).scores[0], strict=False
            )
        )


@pytest.mark.parametrize("k", [0, -1])
def test_a_slate_of_no_items_is_refused(model: Model, k: int):
    with pytest.raises(ConfigError, match=f"slate of {k} items"):
        model.recommender.recommend_many([["item-5"]], k)


def test_of_a_long_context_the_newest_part_is_read(model: Model):
    reads = model.case.reads
    if reads is None:
        return  # the whole context: the next test asks for its oldest item
    for b, context in enumerate(probes()):
        if len(context) > reads > 0:
            newest = Ragged.from_lists([context[-reads:]])
            assert_same((model.predictor.score(newest)[0],), (model.alone[b],))
    if reads == 0:
        assert_same((model.alone,), (np.tile(model.alone[0], (len(model.alone), 1)),))


def test_all_of_what_is_read_matters(model: Model):
    reads = 30 if model.case.reads is None else model.case.reads
    newer = [3 + i for i in range(reads - 1)]
    one, other = model.predictor.score(Ragged.from_lists([[60, *newer], [90, *newer]]))
    assert (one != other).any() == (reads > 0)


def test_inputs_that_are_not_declared_change_nothing(model: Model):
    contexts = model.contexts
    rng = np.random.default_rng(6)
    changed = {
        "ts": np.sort(rng.integers(0, 2**40, len(contexts.rows))),
        "types": rng.integers(0, 4, len(contexts.rows)).astype(np.int8),
    }
    assert set(model.predictor.inputs) <= {"items", *changed}
    unread = {name: v for name, v in changed.items() if name not in model.predictor.inputs}
    assert_same((model.predictor.score(replace(contexts, **unread)),), (model.alone,))


def test_two_threads_get_the_same_answers(model: Model):
    def ask(b: int) -> NDArray[np.float32]:
        return model.predictor.score(model.contexts.take(np.array([b])))

    places = np.random.default_rng(9).integers(0, len(model.contexts), 200)
    with ThreadPoolExecutor(2) as pool:
        got = np.concatenate(list(pool.map(ask, places)))
    assert_same((got,), (model.alone[places],))
