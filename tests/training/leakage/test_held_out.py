"""Check (e): no session that is to be asked about is in the fitted data."""

from __future__ import annotations

import numpy as np
import pytest

from session_rec.catalog import Catalog
from session_rec.event_log import SessionLog
from session_rec.ragged import Ragged
from session_rec.sessions import SessionRules
from training.leakage.held_out import check_held_out

SHOP, PAIRS = SessionRules(), SessionRules("pairs")
HOUR = 3_600_000


def log(*sessions: tuple[str, int, list[str]]) -> SessionLog:
    """Sessions of (id, time of the first event, items), a second between events."""
    items = sorted({i for _, _, names in sessions for i in names})
    return SessionLog(
        tuple(dict.fromkeys(s for s, _, _ in sessions)),
        np.concatenate(
            [
                np.full(len(names), list(dict.fromkeys(x for x, _, _ in sessions)).index(s))
                for s, _, names in sessions
            ]
        ),
        tuple(items),
        np.array([items.index(i) for _, _, names in sessions for i in names], np.int32),
        np.concatenate([t + 1000 * np.arange(len(names)) for _, t, names in sessions]),
        ("view",),
        np.zeros(sum(len(names) for _, _, names in sessions), np.int16),
        np.full(sum(len(names) for _, _, names in sessions), -1),
    )


CATALOG = Catalog(tuple("abcde"), np.ones(5, np.int64))
TRAIN = log(("ann", 0, ["a", "b", "c"]), ("bob", 5000, ["b", "d"]))
VALID = log(("cyd", 9000, ["c", "d"]))
TEST = log(("dan", 20_000, ["a", "e"]), ("eve", 30_000, ["b", "b", "c"]))


def check(train=TRAIN, valid=VALID, test=TEST, fitted=None, stopping=None, rules=SHOP):
    nothing = Ragged.from_lists([])
    return check_held_out(
        CATALOG,
        rules,
        (train, train.training_sessions(CATALOG, rules) if fitted is None else fitted),
        (
            valid,
            (valid.training_sessions(CATALOG, rules) if valid else nothing)
            if stopping is None
            else stopping,
        ),
        test,
    )


@pytest.mark.parametrize("rules", [SHOP, PAIRS])
def test_a_clean_split_passes_and_says_how_much_was_compared(rules):
    found = check(rules=rules)
    assert found.status == "passed" and found.says == "none of 2 test sessions was fitted"
    assert found.numbers["test sessions compared"] == 2
    assert found.numbers["validation sessions compared"] == 1


def test_without_a_test_split_nothing_is_claimed():
    found = check(test=None)
    assert found.status == "not checked"
    assert found.says == "test sessions not checked: no test split"


def test_a_known_leak_is_refused_even_where_no_test_split_is_known():
    assert check(test=None, valid=log(("bob", 5000, ["b", "d"]))).status == "failed"


@pytest.mark.parametrize("rules", [SHOP, PAIRS])
def test_a_test_session_in_the_training_file_is_caught(rules):
    both = log(("ann", 0, ["a", "b", "c"]), ("dan", 20_000, ["a", "e"]))
    found = check(train=both, rules=rules)
    assert found.status == "failed"
    assert found.numbers["test sessions in the training log"] == 1
    assert "1 test sessions in the training log" in found.says


def test_a_test_session_that_lost_rare_items_on_its_way_into_training_is_caught():
    cleaned = log(("ann", 0, ["a", "b", "c"]), ("eve", 31_000, ["b"]))
    assert check(train=cleaned).numbers["test sessions in the training log"] == 1


def test_a_test_session_in_the_validation_file_is_caught():
    found = check(valid=TEST)
    assert found.numbers["test sessions in the validation log"] == 2


def test_a_shopper_who_comes_again_is_no_leak():
    again = log(("ann", 3 * HOUR, ["a", "b", "c"]))
    assert check(test=again).status == "passed"
    # The same id and the same items at another time: where sessions are taken as given, and
    # ``ts`` may be no clock, that is the same session.
    assert check(test=again, rules=PAIRS).status == "failed"
    assert check(test=log(("ann", 0, ["a", "b", "d"])), rules=PAIRS).status == "passed"


def test_test_sessions_added_to_what_is_fitted_are_caught_though_the_files_are_clean():
    train, held_out = (x.training_sessions(CATALOG, SHOP) for x in (TRAIN, TEST))
    both = Ragged(
        np.concatenate([train.rows, held_out.rows]),
        np.concatenate([train.offsets, train.offsets[-1] + held_out.offsets[1:]]),
        np.concatenate([train.ts, held_out.ts]),
        np.concatenate([train.types, held_out.types]),
    )
    found = check(fitted=both)
    assert found.status == "failed"
    assert found.numbers["fitted sessions that the training log does not hold"] == 2
    assert check(stopping=both).status == "failed"


def test_a_session_fitted_twice_is_one_too_many():
    once = TRAIN.training_sessions(CATALOG, SHOP)
    twice = once.take(np.array([0, 1, 1]))
    assert check(fitted=twice).numbers["fitted sessions that the training log does not hold"] == 1
    # Fewer than the log holds is what a sample is.
    assert check(fitted=once.take(np.array([1]))).status == "passed"
