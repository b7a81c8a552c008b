"""Checks (a), (b) and (c) on forwards over whole sessions: each leak is caught where it is."""

from __future__ import annotations

import pytest

from training.leakage.company import check_company
from training.leakage.future import check_future
from training.leakage.parity import check_parity

from .conftest import LastItem, serving
from .toy_forwards import (
    Masked,
    MaskForgotten,
    MeanOfTheBatch,
    ReadsTheSum,
    ReadsTheTarget,
    ReadsTheTargetInTrainingOnly,
    SeesPadding,
    ToyForward,
)


def checks(forward):
    model = LastItem()
    saved = serving(model)
    return {
        "future": check_future(saved, forward, 1),
        "bundle": check_parity(saved, model, forward, 1),
        "company": check_company(saved, forward, 1),
    }


@pytest.mark.parametrize("honest", [ToyForward, Masked])
def test_an_honest_forward_passes_all(honest):
    found = checks(honest(LastItem().table))
    assert {name: check.status for name, check in found.items()} == dict.fromkeys(found, "passed")
    assert found["future"].numbers["training forward"] == 0.0
    assert found["future"].numbers["positions"] == 120


@pytest.mark.parametrize(
    ("leaking", "where"),
    [
        (ReadsTheTarget, "training forward"),
        (ReadsTheTarget, "validation forward"),
        (ReadsTheTargetInTrainingOnly, "training forward"),
        (ReadsTheSum, "training forward, eval mode"),
        (MaskForgotten, "training forward"),
    ],
)
def test_a_forward_that_reads_later_items_is_caught(leaking, where):
    check = checks(leaking(LastItem().table))["future"]
    assert check.status == "failed"
    assert check.numbers[where] > 0
    assert where in check.says and "items after a position change its scores" in check.says


def test_a_leak_in_training_mode_only_is_told_as_such():
    numbers = checks(ReadsTheTargetInTrainingOnly(LastItem().table))["future"].numbers
    assert numbers["training forward"] > 0
    assert numbers["training forward, eval mode"] == numbers["validation forward"] == 0.0


def test_padding_that_changes_scores_is_caught():
    check = checks(SeesPadding(LastItem().table))["company"]
    assert check.status == "failed"
    assert check.numbers["training forward, padding"] > 1e-4
    assert check.numbers["training forward, other rows"] == 0.0


def test_other_rows_that_change_scores_are_caught():
    check = checks(MeanOfTheBatch(LastItem().table))["company"]
    assert check.status == "failed"
    assert check.numbers["training forward, other rows"] > 1e-4
    assert check.numbers["training forward, eval mode, other rows"] == 0.0


def test_a_saved_model_that_differs_from_the_trained_one_is_caught():
    other = LastItem()
    other.table = other.table.copy()
    other.table[3, 7] += 0.01  # one number of 2,500, a thousandth of the range
    check = check_parity(serving(other), other, ToyForward(LastItem().table), 1)
    assert check.status == "failed"
    assert check.numbers["fitted predictor"] == 0.0
    assert 1e-3 < check.numbers["training forward"] < 1e-2
    assert "training forward" in check.says


def test_what_onnx_may_differ_by_is_let_pass():
    close = LastItem()
    close.table = close.table + 4e-6
    assert check_parity(serving(close), close, ToyForward(LastItem().table), 1).status == "passed"
