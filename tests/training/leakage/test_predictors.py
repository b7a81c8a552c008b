"""Checks (a), (b) and (c) on models that are served: what no training forward would show."""

from __future__ import annotations

import numpy as np
import pytest

from session_rec.predictors.popularity import Popularity
from session_rec.predictors.vmis_knn import VmisKnn
from session_rec.ragged import Ragged
from session_rec.sessions import SessionRules
from training.leakage.company import check_company
from training.leakage.future import check_future
from training.leakage.parity import check_parity
from training.leakage.probes import draw_probes, other_future

from .conftest import N_ITEMS, LastItem, serving


class ReadsTheRowAfterItsWindow(LastItem):
    """Off by one in the log: right wherever contexts are copied, wrong where they are views."""

    def score(self, contexts):
        scores = super().score(contexts)
        after = np.minimum(contexts.offsets[1:], len(contexts.rows) - 1)
        return scores + np.float32(0.1) * self.table[contexts.rows[after]]


class ReadsTheClockAfterItsWindow(LastItem):
    def score(self, contexts):
        after = np.minimum(contexts.offsets[1:], len(contexts.ts) - 1)
        return super().score(contexts) + (contexts.ts[after] % 7).astype(np.float32)[:, None]


class PadsToTheLongest(LastItem):
    """Averages over a batch padded to its longest context: short ones pay for long neighbours."""

    def score(self, contexts):
        width = contexts.lengths.max()
        return np.stack(
            [self.table[contexts.sequence(b)].sum(0) / width for b in range(len(contexts))]
        )


class MinusTheMeanOfTheBatch(LastItem):
    def score(self, contexts):
        scores = super().score(contexts)
        return scores - scores.mean(axis=0)


@pytest.mark.parametrize("model", [ReadsTheRowAfterItsWindow, ReadsTheClockAfterItsWindow])
def test_a_model_that_reads_beyond_its_window_is_caught(model):
    check = check_future(serving(model()), None, 1)
    assert check.status == "failed"
    assert check.numbers["windows into a log"] > 0


def test_a_cut_that_lets_the_next_event_in_is_caught(monkeypatch):
    from session_rec.event_log import Questions

    def one_too_many(self, which):
        return self.events.window(self.starts[which], self.ends[which] + 1)

    saved = serving(LastItem())
    monkeypatch.setattr(Questions, "contexts", one_too_many)
    check = check_future(saved, None, 1)
    assert check.status == "failed"
    assert check.numbers["questions of evaluate"] > 0
    assert check.numbers["windows into a log"] == 0


@pytest.mark.parametrize("model", [PadsToTheLongest, MinusTheMeanOfTheBatch])
def test_a_model_whose_company_changes_its_scores_is_caught(model):
    check = check_company(serving(model()), None, 1)
    assert check.status == "failed"
    assert check.numbers["saved model"] > 1e-3
    assert "saved model" in check.says


def test_a_saved_model_that_is_not_the_fitted_one_is_caught():
    fitted = LastItem()
    fitted.table = fitted.table + np.float32(1e-6)
    check = check_parity(serving(LastItem()), fitted, None, 1)
    assert check.status == "failed" and "fitted predictor" in check.says


def random_sessions() -> Ragged:
    rng = np.random.default_rng(0)
    return Ragged.from_lists([rng.integers(0, N_ITEMS, 6).tolist() for _ in range(200)])


@pytest.mark.parametrize("kind", [Popularity, VmisKnn, LastItem])
@pytest.mark.parametrize("rules", [SessionRules(max_length=3), SessionRules("pairs")])
def test_honest_models_pass_and_say_what_does_not_apply(kind, rules):
    model = LastItem() if kind is LastItem else kind.fit(random_sessions(), N_ITEMS)
    saved = serving(model)
    saved = type(saved)(saved.catalog, model, rules)
    for check in (
        check_future(saved, None, 1),
        check_parity(saved, model, None, 1),
        check_company(saved, None, 1),
    ):
        assert check.status == "passed"
        assert check.numbers["training forward"].startswith("not applicable")


def test_a_shop_of_one_item_has_no_other_future():
    saved = serving(Popularity(np.ones(1, np.float32)))
    assert check_future(saved, None, 1).status == "not applicable"
    assert check_company(saved, None, 1).status == "passed"


def test_another_future_changes_every_later_event_and_nothing_before():
    rng = np.random.default_rng(0)
    probes = draw_probes(7, 12, rng)
    other = other_future(probes, 7, rng)
    for s, position in enumerate(probes.position.tolist()):
        a, b = (p.sessions.take(np.array([s])) for p in (probes, other))
        assert 1 <= position < len(a.rows) <= 12
        for name in ("rows", "ts", "types"):
            x, y = getattr(a, name), getattr(b, name)
            assert x[:position].tolist() == y[:position].tolist()
            assert not (x[position:] == y[position:]).any()
        assert (np.diff(b.ts) > 0).all()
    assert set(probes.position.tolist()) == set(range(1, 12))
