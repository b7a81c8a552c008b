"""A two-stage model: what it learns, what it refuses, what it gives without anything to learn."""

from pathlib import Path

import numpy as np
import pytest

from session_rec import Ragged
from session_rec.errors import BundleError, ConfigError, UserError
from session_rec.predictors.candidates import feature_names
from session_rec.predictors.item_facts import ItemFacts
from session_rec.predictors.popularity import Popularity
from session_rec.predictors.reranker import Reranker
from session_rec.predictors.session_popularity import SessionPopularity
from session_rec.predictors.two_stage import TwoStage
from training.fitters import FitData, Fitted, fit_model, model_config
from training.two_stage import fit
from training.two_stage.config import TwoStageConfig
from training.two_stage.questions import reranking_data

N = 60
PARTS = {"sequential-rules": {}, "session-popularity": {}}


def shoppers(seed: int, count: int) -> Ragged:
    """Half of them walk from item to item and never look back, half go to and fro between two:
    rules are right for the first, the session's own items for the second."""
    rng = np.random.default_rng(seed)
    sessions = []
    for _ in range(count):
        length = rng.integers(5, 9)
        start = rng.integers(0, N)
        if rng.random() < 0.5:
            sessions.append([int(start + i) % N for i in range(length)])
        else:
            other = rng.integers(0, N)
            sessions.append([int(start if i % 2 else other) for i in range(length)])
    return Ragged.from_lists(sessions)


def fitted(tmp_path: Path, train: Ragged, **settings):
    config = TwoStageConfig(**{"parts": PARTS, "depth": 10, "holdout": 0.3, **settings})
    data = FitData(train, Ragged.from_lists([]), N, tmp_path)
    return fit_model("two-stage", data, config)


def first_right(model, sessions: Ragged) -> float:
    """Share of the sessions from the fourth click on whose next item comes first."""
    contexts = sessions.window(sessions.offsets[:-1], sessions.offsets[1:] - 1)
    rows, _ = model.top_k(contexts, 1)
    return float(np.mean(rows[:, 0] == sessions.rows[sessions.offsets[1:] - 1]))


def test_it_learns_when_to_follow_which_part(tmp_path):
    result = fitted(tmp_path, shoppers(1, 1500))
    asked = shoppers(2, 400)
    alone = [first_right(part, asked) for part in result.predictor.parts.values()]
    assert max(alone) < 0.75
    assert first_right(result.predictor, asked) > 0.95
    assert result.record["reranker"]["candidate_recall"] > 0.9


def test_parts_that_rank_were_trained_on_everything(tmp_path):
    train = shoppers(3, 300)
    part = fitted(tmp_path, train).predictor.parts["sequential-rules"]
    alone = fit_model(
        "sequential-rules",
        FitData(train, Ragged.from_lists([]), N, tmp_path),
        TwoStageConfig(parts=PARTS).part("sequential-rules")[1],
    ).predictor
    for name, array in alone.arrays().items():
        np.testing.assert_array_equal(part.arrays()[name], array)


class Asked:
    """Which sessions the parts were trained on, in order, and the slices that asked."""

    def __init__(self, monkeypatch, **settings):
        self.trained, self.answered = [], []
        monkeypatch.setattr(fit, "reranking_data", self._spied)
        # The first item tells the session. The newest eight ask once, the others five times.
        lengths = [6] * 32 + [2] * 8
        self.train = Ragged.from_lists([list(range(i, i + n)) for i, n in enumerate(lengths)])
        config = TwoStageConfig(parts={"popularity": {}}, depth=5, epochs=1, **settings)
        self.model, self.record, _ = fit.fit(
            self.train, Ragged.from_lists([]), 50, config, self._fit_part, lambda text: None
        )

    def _fit_part(self, name, train, valid, run):
        self.trained.append((run, len(train)))
        np.testing.assert_array_equal(train.rows, self.train.rows[: len(train.rows)])
        return Fitted(Popularity.fit(train, 50), {"deterministic": True})

    def _spied(self, parts, contexts, targets, facts, depth):
        self.answered.append(sorted(contexts.rows[contexts.offsets[:-1]].tolist()))
        # Not one click of what is asked, nor of what came later, was counted.
        (counted,) = (part.arrays()["count"].sum() for part in parts.values())
        begin = int(self.train.offsets[self.trained[-1][1]])
        assert counted == begin == np.expm1(facts.log_popularity).round().sum()
        return reranking_data(parts, contexts, targets, facts, depth)

    def sessions(self, first, last):
        """Each as often as it asks."""
        return [i for i in range(first, last) for _ in range(self.train.lengths[i] - 1)]


def test_a_slice_asks_parts_that_know_nothing_of_it_or_later(monkeypatch):
    asked = Asked(monkeypatch, holdout=0.2, slices=2)
    assert asked.trained == [("without-newest", 32), ("without-newest-2", 24), ("all", 40)]
    assert asked.answered == [asked.sessions(32, 40), asked.sessions(24, 32)]
    assert asked.record["reranker"]["questions"] == len(asked.sessions(24, 40))


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({"holdout": 0.15, "slices": 9}, [34, 28, 22]),  # half of the sessions stay
        ({"holdout": 0.25, "slices": 9}, [30, 20]),
        ({"holdout": 0.7, "slices": 2}, [12]),  # the newest slice is always there
        ({"holdout": 0.2, "slices": 1}, [32]),
    ],
)
def test_how_many_slices_ask(settings, begins, monkeypatch):
    asked = Asked(monkeypatch, **settings)
    assert [count for run, count in asked.trained if run != "all"] == begins


def test_an_older_slice_asks_where_the_newest_asks_less_than_half(monkeypatch):
    def answered(most):
        asked = Asked(monkeypatch, holdout=0.2, slices=2, max_questions=most)
        assert asked.record["reranker"]["questions"] == sum(map(len, asked.answered))
        return asked.answered

    newest, older = answered(48)
    assert (len(newest), len(older)) == (8, 40)
    newest, drawn = answered(30)
    assert (len(newest), len(drawn)) == (8, 22)
    assert set(drawn) <= set(older)
    assert list(map(len, answered(17))) == [8, 9]
    assert list(map(len, answered(16))) == [8]  # half of them: it would be hardly worth it
    assert list(map(len, answered(5))) == [5]


def test_no_older_slice_asks_where_there_is_none(monkeypatch):
    nothing = Asked(monkeypatch, holdout=0.01, slices=2)
    assert nothing.answered == [[]]
    assert [count for _, count in nothing.trained] == [40, 40]


def test_a_run_that_is_there_is_not_trained_again(tmp_path):
    train = shoppers(3, 60)
    settings = {"d_model": 8, "max_length": 8, "epochs": 1, "threads": 1}
    alone = fit_model(
        "gru4rec",
        FitData(train, Ragged.from_lists([]), N, tmp_path / "alone.run"),
        model_config("gru4rec")(**settings),
    )
    (left,) = (tmp_path / "alone.run" / "checkpoints").iterdir()
    written = left.stat().st_mtime_ns
    part = {**settings, "run_dir": str(tmp_path / "alone.run")}
    taken = fitted(tmp_path / "taken", train, parts={"gru4rec": part})
    assert not (tmp_path / "taken" / "gru4rec.all").exists()
    assert list(left.parent.iterdir()) == [left] and left.stat().st_mtime_ns == written
    trained = fitted(tmp_path / "trained", train, parts={"gru4rec": settings})
    for model in (taken, trained):
        assert dict(model.predictor.files()).keys() == {
            f"gru4rec.{name}" for name in alone.predictor.files()
        }
        for name, array in alone.predictor.arrays().items():
            np.testing.assert_array_equal(model.predictor.arrays()[f"gru4rec.{name}"], array)
    with_place, without = (
        TwoStageConfig(parts={"gru4rec": settings}) for settings in (part, settings)
    )
    assert with_place.model_dump_json() == without.model_dump_json()
    with pytest.raises(UserError, match="checkpoint of another run"):
        fitted(tmp_path / "other", train, parts={"gru4rec": {**part, "seed": 2}})


def test_the_same_seed_gives_the_same_network(tmp_path):
    one, two, other = (
        fitted(tmp_path / str(i), shoppers(4, 200), seed=seed).predictor.arrays()
        for i, seed in enumerate((1, 1, 2))
    )
    same = [np.array_equal(one[name], two[name]) for name in one]
    assert all(same)
    assert not np.array_equal(one["reranker.hidden"], other["reranker.hidden"])


def test_candidates_stand_above_all_other_items(tmp_path):
    model = fitted(tmp_path, shoppers(5, 200), depth=3).predictor
    scores = model.score(Ragged.from_lists([[4, 5]]))[0]
    found = set()
    for part in model.parts.values():
        found |= set(part.top_k(Ragged.from_lists([[4, 5]]), 3)[0][0].tolist())
    rows = sorted(found)
    others = np.setdiff1d(np.arange(N), rows)
    assert scores[rows].min() > scores[others].max()


def test_what_never_varied_while_it_learned_decides_nothing_later(tmp_path):
    """Sessions of two clicks ask of one item only: of a second or third, of a look back, nothing
    is learned, and a longer context must not be ranked by numbers drawn at random."""
    starts = np.random.default_rng(6).integers(0, N, 600)
    pairs = Ragged.from_lists([[int(s), int(s + 1) % N] for s in starts])
    model = fitted(tmp_path, pairs, parts={"sequential-rules": {}, "popularity": {}}).predictor
    asked = Ragged.from_lists([[4], [4, 5], [9, 3, 4, 5], [5, 4, 5]])
    rows, _ = model.top_k(asked, 1)
    assert rows[:, 0].tolist() == [5, 6, 6, 6]


def test_parts_read_no_more_of_a_context_than_when_the_network_learned():
    clicks = Ragged.from_lists([[1, 2, 3, 4]])
    part = SessionPopularity.fit(clicks, 6)
    names = feature_names(["session-popularity"])
    of_part = np.array([name.startswith("session-popularity.") for name in names], np.float32)
    zero = np.zeros(len(names), np.float32)
    net = Reranker(zero, zero + 1, of_part, zero[:, None], zero[:1], zero[:1])
    model = TwoStage({"session-popularity": part}, net, ItemFacts.fit(clicks, 6), 6, 3)
    long, cut = Ragged.from_lists([[5, 5, 5, 1, 2, 3]]), Ragged.from_lists([[1, 2, 3]])
    np.testing.assert_array_equal(model.score(long), model.score(cut))
    for of_long, of_cut in zip(model.top_k(long, 4), model.top_k(cut, 4), strict=True):
        np.testing.assert_array_equal(of_long, of_cut)


def test_without_an_answer_to_learn_from_the_first_part_leads(tmp_path):
    lonely = Ragged.from_lists([[0], [1], [1]])
    model = fitted(tmp_path, lonely, parts={"popularity": {}, "session-popularity": {}}).predictor
    rows, _ = model.top_k(Ragged.from_lists([[5]]), 2)
    assert rows[0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({}, "at least one part"),
        ({"two-stage": {}}, "cannot be a two-stage model"),
        ({"a.b": {"kind": "popularity"}}, "cannot be called"),
        ({"reranker": {"kind": "popularity"}}, "cannot be called"),
        ({"facts": {"kind": "popularity"}}, "cannot be called"),
    ],
)
def test_parts_that_cannot_be_are_refused(parts, told):
    with pytest.raises(ValueError, match=told):
        TwoStageConfig(parts=parts)


@pytest.mark.parametrize("settings", [{"kind": "nobody"}, {"neighbours": 0}, {"run_dir": "x"}])
def test_a_wrong_setting_of_a_part_is_said_before_anything_is_trained(settings, tmp_path):
    with pytest.raises(ConfigError, match=r"nobody|neighbours|run_dir"):
        fitted(tmp_path, shoppers(1, 50), parts={"popularity": {}, "vmis-knn": settings})
    assert not list(tmp_path.iterdir())


def test_a_network_of_other_parts_is_refused():
    zeros = np.zeros(3, np.float32)
    net = Reranker(zeros, zeros + 1, zeros, np.zeros((3, 1), np.float32), zeros[:1], zeros[:1])
    part = Popularity.fit(Ragged.from_lists([[0]]), 2)
    with pytest.raises(BundleError, match="reads 3 features"):
        TwoStage({"popularity": part}, net, ItemFacts.fit(Ragged.from_lists([[0]]), 2), 1, 20)
