"""Check (d): who learns from random sessions has seen what it must not see."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from session_rec.ragged import Ragged
from session_rec.sessions import SessionRules
from training import fitters
from training.fitters import Fitted, model_config
from training.leakage import random_data
from training.leakage.random_data import check_random_data, shrink
from training.transformer.config import Gru4RecConfig, TransformerConfig

from .toy_forwards import ReadsTheTarget, ToyForward

pytestmark = pytest.mark.usefixtures("fresh_random_data")
RULES = SessionRules()


def check(kind, settings=None):
    return check_random_data(kind, settings or model_config(kind)(), RULES, 1)


def with_fit(monkeypatch, fit):
    config, _ = fitters._FITTERS["vmis-knn"]
    monkeypatch.setitem(fitters._FITTERS, "vmis-knn", (config, fit))


@pytest.mark.parametrize("kind", ["popularity", "session-popularity", "vmis-knn"])
def test_honest_kinds_find_chance(kind):
    found = check(kind)
    assert found.status == "passed"
    (look,) = found.numbers["saved model"]["looks"]
    assert look["interval"][0] < 0.1 < look["interval"][1]
    assert "chance 10.0 %" in found.says


def test_the_interval_is_the_exact_binomial_one():
    looks = random_data._judge([np.arange(1000) < 100], 0.999)["looks"]

    def below(k):  # P(hits <= k) of 1000 questions at 1/10
        return sum(math.comb(1000, i) * 9 ** (1000 - i) for i in range(k + 1)) / 10**1000

    low, high = (round(1000 * edge) for edge in looks[0]["interval"])
    assert below(low - 1) < 0.0005 <= below(low)
    assert below(high - 1) < 0.9995 <= below(high)


def test_a_first_miss_is_looked_at_once_more_and_both_are_recorded():
    miss, hit = np.ones(500, bool), np.arange(500) % 10 == 0
    judged = random_data._judge([miss, hit], 0.999)
    assert judged["passed"] and [look["hr"] for look in judged["looks"]] == [1.0, 0.1]
    judged = random_data._judge([miss, miss], 0.999)
    assert not judged["passed"] and len(judged["looks"]) == 2
    assert len(random_data._judge([hit, miss], 0.999)["looks"]) == 1


def test_fewer_hits_than_chance_are_a_leak_too():
    assert not random_data._judge([np.zeros(500, bool)] * 2, 0.999)["passed"]


def test_a_fit_that_learns_the_sessions_of_early_stopping_is_caught(monkeypatch):
    from session_rec.predictors.vmis_knn import VmisKnn

    def fit(data, config):
        both = Ragged.from_lists(
            [s.sequence(i).tolist() for s in (data.train, data.valid) for i in range(len(s))]
        )
        return Fitted(VmisKnn.fit(both, data.n_items, config))

    with_fit(monkeypatch, fit)
    found = check("vmis-knn")
    assert found.status == "failed"
    assert found.numbers["sessions of early stopping"]["looks"][0]["hr"] > 0.3
    assert found.numbers["saved model"]["passed"]
    assert "of the sessions of early stopping" in found.says


@pytest.mark.parametrize("forward,status", [(ToyForward, "passed"), (ReadsTheTarget, "failed")])
def test_a_forward_that_reads_its_target_is_caught_though_the_saved_model_is_honest(
    monkeypatch, forward, status
):
    honest = fitters._FITTERS["vmis-knn"][1]
    table = np.eye(random_data.ITEMS, dtype=np.float32)
    with_fit(
        monkeypatch,
        lambda data, config: Fitted(honest(data, config).predictor, forward=forward(table)),
    )
    found = check("vmis-knn")
    assert found.status == status
    assert found.numbers["saved model"]["passed"]
    if status == "failed":
        assert [look["hr"] for look in found.numbers["training forward"]["looks"]] == [1.0, 1.0]
        assert "HR@20 of the training forward is 100.0 %, where chance is 10.0 %" in found.says


def test_a_second_look_at_the_same_settings_does_not_train_again(monkeypatch):
    first = check("popularity")
    monkeypatch.setattr(random_data, "fit_model", None)
    assert check("popularity") == first


def test_settings_shrink_to_what_can_still_be_trained_and_say_how():
    big = TransformerConfig(d_model=480, n_heads=12, epochs=200, batch_size=512, num_negatives=4096)
    small, changed = shrink("transformer", big)
    assert TransformerConfig.model_validate(small.model_dump()) == small
    assert changed["epochs"] == [200, 4] and changed["num_negatives"] == [4096, 0]
    assert small.temperature == big.temperature and "temperature" not in changed
    gru = Gru4RecConfig(d_model=480, hidden_size=512, n_layers=3, dropout_output=0.5, seed=7)
    small, changed = shrink("gru4rec", gru)
    assert Gru4RecConfig.model_validate(small.model_dump()) == small
    assert changed["hidden_size"] == [512, None] and changed["dropout_output"] == [0.5, 0.0]
    assert small.seed == 7
    assert shrink("popularity", model_config("popularity")())[1] == {}
    taught = TransformerConfig.model_validate(
        {"teacher": {"kind": "gru4rec", "settings": {"d_model": 480, "seed": 3}, "folds": 9}}
    )
    small, changed = shrink("transformer", taught)
    teacher = small.teacher
    assert (teacher.kind, teacher.folds, teacher.share) == ("gru4rec", 2, taught.teacher.share)
    assert teacher.settings == shrink("gru4rec", taught.teacher.model())[0].model_dump()
    assert teacher.settings["seed"] == 3 and changed["teacher"][1] == teacher.model_dump()
    json.dumps(changed)
