"""Comparisons: what they say by hand, and what they refuse."""

import dataclasses
import shutil

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from session_rec import Catalog, Ragged, Recommender, SessionRules
from session_rec.bundle import save_bundle
from session_rec.cli import build_app
from session_rec.errors import ConfigError, DataError
from session_rec.evaluation.compare import UnlikeProtocolsError, compare, compare_all
from session_rec.evaluation.comparison import Comparison, Difference
from session_rec.evaluation.comparison_table import candidates_note
from session_rec.evaluation.evaluate import evaluate
from session_rec.evaluation.outcomes import Outcomes
from session_rec.predictors.popularity import Popularity


@pytest.fixture
def a(recommender, log):
    return Outcomes.of(
        evaluate(recommender, log, name="one", split="test", keep_shown=True), recommender, log
    )


def named(outcomes, model, ranks=None, **protocol):
    """The outcomes as another model's: other ranks, or another protocol."""
    header = msgspec.structs.replace(
        outcomes.header,
        model=model,
        protocol=msgspec.structs.replace(outcomes.header.protocol, **protocol),
    )
    return dataclasses.replace(
        outcomes, header=header, rank=outcomes.rank if ranks is None else np.asarray(ranks)
    ).sealed()


def test_the_difference_is_that_of_the_figures_session_by_session(a):
    ranks = np.random.default_rng(0).integers(1, 60, len(a))
    found = compare(a, named(a, "two", ranks), metrics=["hr@3", "mrr@20"], resamples=200)
    assert (found.a, found.b, found.unlike) == ("one", "two", {})
    for d, gain in zip(
        found.differences,
        (lambda r: float(r <= 3), lambda r: (r <= 20) / r),
        strict=True,
    ):
        by_session: dict[int, float] = {}
        for s, x, y in zip(a.session.tolist(), a.rank.tolist(), ranks.tolist(), strict=True):
            by_session[s] = by_session.get(s, 0) + gain(y) - gain(x)
        assert d.difference == pytest.approx(sum(by_session.values()) / len(a))
        assert d.difference == pytest.approx(d.b - d.a)
        assert d.b == pytest.approx(np.mean([gain(r) for r in ranks.tolist()]))
        assert d.low < d.difference < d.high
        wins = sum(v > 1e-9 for v in by_session.values())
        losses = sum(v < -1e-9 for v in by_session.values())
        assert (d.wins, d.losses, d.ties) == (wins, losses, len(by_session) - wins - losses)
        assert 0 < d.p == d.p_adjusted <= 1


def test_turned_round_it_says_the_opposite(a):
    b = named(a, "two", np.random.default_rng(1).integers(1, 60, len(a)))
    there, back = compare(a, b, resamples=500), compare(b, a, resamples=500)
    for d, e in zip(there.differences, back.differences, strict=True):
        assert (d.difference, d.a, d.wins) == pytest.approx((-e.difference, e.b, e.losses))
        assert (d.low, d.high, d.p) == pytest.approx((-e.high, -e.low, e.p))


def test_a_model_against_itself_differs_in_nothing(a):
    found = compare(a, a, metrics=["mrr@20"], resamples=100)
    (d,) = found.differences
    assert (found.a, found.b) == ("one (the first)", "one (the second)")
    assert (d.difference, d.low, d.high, d.p, d.exact) == (0, 0, 0, 1, True)
    assert (d.wins, d.losses, d.ties) == (0, 0, len(a.session_ids))


def test_gains_that_only_change_places_within_a_session_are_ties(a):
    ranks = np.random.default_rng(5).integers(1, 21, len(a))
    turned = ranks.copy()
    for s in range(len(a.session_ids)):
        turned[a.session == s] = np.roll(ranks[a.session == s], 1)
    gain = [(1 / turned - 1 / ranks)[a.session == s].sum() for s in range(len(a.session_ids))]
    assert np.any(gain)  # rounding alone
    found = compare(named(a, "a", ranks), named(a, "b", turned), metrics=["mrr@20"], resamples=100)
    (d,) = found.differences
    assert (d.wins, d.losses, d.p, d.exact) == (0, 0, 1, True)
    assert found.sentences() == ["a and b have the same MRR@20 in every session."]


def test_a_model_that_is_always_right_against_one_that_never_is_leaves_no_doubt(a):
    never, always = np.full(len(a), 50), np.full(len(a), 1)
    (d,) = compare(
        named(a, "a", never), named(a, "b", always), metrics=["hr@20"], resamples=100
    ).differences
    assert (d.difference, d.low, d.high, d.wins) == (1, 1, 1, len(a.session_ids))


def test_few_sessions_that_differ_give_an_exact_p(a):
    ranks = np.minimum(a.rank, 60)
    first = np.array([np.flatnonzero(a.session == s)[0] for s in range(4)])
    worse, better = ranks.copy(), ranks.copy()
    worse[first], better[first] = 50, 1
    found = compare(named(a, "w", worse), named(a, "b", better), metrics=["hr@20"], resamples=100)
    (d,) = found.differences
    assert (d.wins, d.losses, d.exact, d.p) == (4, 0, True, 2 / 2**4)


def test_the_interval_pairs_the_questions(a):
    # B is A but for one better session: the luck that both share must not widen the interval.
    ranks = np.random.default_rng(2).integers(1, 41, len(a))
    better = np.where(a.session == 0, 1, ranks)
    (d,) = compare(
        named(a, "a", ranks), named(a, "b", better), metrics=["hr@20"], resamples=500
    ).differences
    assert d.low == 0
    assert d.high < 4 * d.difference


@pytest.mark.parametrize(
    "field, value",
    [
        ("data", "another"), ("split", "validation"), ("min_prefix", 2), ("questions", 7),
        ("sessions", 7), ("positions", "last only"), ("candidates", "100 drawn"),
        ("ties", "optimistic"), ("unknown_targets", "left out"), ("interval", "90 %"),
        ("items", 59), ("catalog", "0123"),
    ],
)  # fmt: skip
def test_unlike_protocols_are_refused_by_the_name_of_the_field(a, field, value):
    with pytest.raises(UnlikeProtocolsError) as e:
        compare(a, named(a, "two", **{field: value}))
    mine = getattr(a.header.protocol, field)
    assert f"{field} is {mine!r} of one, {value!r} of two" in str(e.value)
    assert str(e.value).count(" is ") == 1


def test_unlike_rules_are_refused_by_the_rule(a):
    other = SessionRules("pairs", max_length=50).to_dict()
    with pytest.raises(UnlikeProtocolsError) as e:
        compare(a, named(a, "two", rules=other, split="x"))
    for said in (
        "split is 'test' of one, 'x' of two",
        "rules.max_length is 4 of one, 50 of two",
        "rules.name is 'shop' of one, 'pairs' of two",
        "rules.horizon_ms is 86400000 of one, None of two",
    ):
        assert said in str(e.value)


def test_unlike_candidates_are_compared_only_where_that_is_asked_and_said(a):
    b = named(a, "two", items=50, catalog="0123")
    with pytest.raises(UnlikeProtocolsError, match="--unlike-candidates"):
        compare(a, b)
    found = compare(a, b, resamples=100, unlike_candidates=True)
    assert found.unlike["items"] == (60, 50)
    assert found.to_dict()["unlike"]["items"] == [60, 50]
    assert "did not rank the same items (60 and 50)" in candidates_note(found)
    assert candidates_note(compare(a, a, resamples=100)) == ""
    with pytest.raises(UnlikeProtocolsError, match="split") as e:
        compare(a, named(a, "two", items=50, split="x"), unlike_candidates=True)
    assert "items" not in str(e.value)


@pytest.mark.parametrize("column", ["session", "position", "ts", "target"])
def test_other_questions_are_refused(a, column):
    values = getattr(a, column).copy()
    values[3] = (values[3] + 1) % 4
    with pytest.raises(DataError, match="do not answer the same questions: .* of question 3 is"):
        compare(a, dataclasses.replace(a, **{column: values}))


def test_a_missing_row_is_refused(a):
    short = {
        f.name: getattr(a, f.name)[:-1]
        for f in dataclasses.fields(a)
        if isinstance(getattr(a, f.name), np.ndarray)
    }
    with pytest.raises(DataError, match=f"{len(a)} questions, .* {len(a) - 1}"):
        compare(a, dataclasses.replace(a, **short))


@pytest.mark.parametrize("metric", ["hr@0", "hr", "map@20", "hr@-1", "HR@20", "hr@20 "])
def test_an_unknown_metric_is_refused(a, metric):
    with pytest.raises(ConfigError, match="there is no metric"):
        compare(a, a, metrics=[metric])


def test_several_models_are_adjusted_for_metric_by_metric(a):
    rng = np.random.default_rng(3)
    others = [named(a, f"m{i}", rng.integers(1, 60, len(a))) for i in range(3)]
    found = compare_all(a, others, metrics=["hr@20", "mrr@5"], resamples=300, seed=4)
    assert [c.b for c in found] == ["m0", "m1", "m2"]
    for m in range(2):
        alone = [
            compare(a, o, metrics=["hr@20", "mrr@5"], resamples=300, seed=4).differences[m]
            for o in others
        ]
        assert [c.differences[m].p for c in found] == [d.p for d in alone]
        smallest = min(alone, key=lambda d: d.p)
        i = alone.index(smallest)
        assert found[i].differences[m].p_adjusted == pytest.approx(min(1, 3 * smallest.p))
    assert "adjusted for 3 models" in found[0].sentences()[0]


def said(metric, low, high, p, comparisons=1):
    difference = Difference(
        metric, 0.5, 0.5 + (low + high) / 2, (low + high) / 2, low, high, p, p, False, 9, 5, 1
    )
    return Comparison("A", "B", None, {}, (difference,), 0.95, 1000, 0, comparisons).sentences()


def test_what_was_found_is_said_in_plain_words():
    assert said("hr@20", 0.008, 0.016, 0.0001) == [
        "B finds 1.20 points more of the next items in its first 20 than A (51.20 against 50.00; "
        "95 % interval +0.80 to +1.60, p = 0.0001): the interval excludes 0."
    ]
    assert said("mrr@20", -0.02, 0.01, 0.4) == [
        "B has MRR@20 0.50 points below A (49.50 against 50.00; 95 % interval -2.00 to +1.00, "
        "p = 0.4): the interval includes 0, so these sessions do not tell the two apart."
    ]
    assert "fewer of the next items" in said("hr@5", -0.02, -0.01, 0.01)[0]
    assert said("hr@5", 0.001, 0.01, 0.2, 4)[0].endswith(
        "p = 0.2 adjusted for 4 models): the interval excludes 0, but the test does not rule out "
        "chance."
    )
    assert said("hr@5", -0.001, 0.01, 0.04)[0].endswith("though the test finds chance unlikely.")


def test_a_frame_has_a_row_for_each_metric(a):
    found = compare(a, named(a, "two", np.ones(len(a), np.int64)), resamples=100)
    frame = found.to_pandas()
    assert frame["metric"].tolist() == ["hr@20", "mrr@20"]
    assert frame["model_b"].tolist() == ["two", "two"]
    assert frame["b"].tolist() == [1, 1]
    assert frame["difference"].tolist() == [d.difference for d in found.differences]


@pytest.fixture
def popular(tmp_path, recommender):
    """Another model of the same directory name as ``model``, ranking the same items."""
    catalog = recommender.catalog
    save_bundle(
        tmp_path / "other" / "m",
        catalog,
        Popularity.fit(Ragged.from_lists([[0, 1, 2]]), len(catalog)),
        recommender.rules,
        data_fingerprint="y",
    )
    return tmp_path / "other" / "m"


def run(*words):
    return CliRunner().invoke(build_app(), [str(w) for w in words])


def test_evaluate_saves_and_compare_reads(model, popular, log_file, tmp_path):
    sessions = ("--sessions", log_file, "--split", "test")
    save = ("--save", tmp_path / "out")
    done = run("evaluate", "--model", model, "--model", popular, *sessions, *save)
    assert done.exit_code == 0, done.exception
    x, y = f"{tmp_path.name}--m.parquet", "other--m.parquet"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted((x, y))
    first = Outcomes.read(tmp_path / "out" / x)
    assert first.header.model == f"{tmp_path.name}/m"
    assert first.header.fingerprint == Recommender.load(model).fingerprint
    assert first.header.kind == "sequential-rules"

    shutil.copytree(tmp_path / "out", tmp_path / "single")
    (tmp_path / "single" / x).unlink()
    compared = run(
        "compare", tmp_path / "out" / x, tmp_path / "single", "--metric", "hr@10",
        "--resamples", "200", "--json", tmp_path / "c.json",
    )  # fmt: skip
    assert compared.exit_code == 0, compared.exception
    assert "HR@10" in compared.stdout and "the next items in its first 10" in compared.stdout
    (written,) = msgspec.json.decode((tmp_path / "c.json").read_bytes())
    second = Outcomes.read(tmp_path / "out" / y)
    expected = np.mean(second.rank <= 10) - np.mean(first.rank <= 10)
    assert written["differences"][0]["difference"] == pytest.approx(expected)
    assert written["protocol"]["items"] == 60

    again = run("evaluate", "--model", model, "--model", popular, *sessions, *save)
    assert again.exit_code == 0, again.exception
    min_prefix = run(
        "evaluate", "--model", model, "--model", popular, *sessions, *save, "--min-prefix", "2"
    )
    assert isinstance(min_prefix.exception, DataError)
    assert "on other questions" in str(min_prefix.exception)


@pytest.mark.parametrize("option", ["--save", "--json"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_scored(
    model, log_file, tmp_path, monkeypatch, option
):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr("session_rec.evaluation.evaluate.evaluate", lambda *_, **__: 1 / 0)
    refused = run(
        "evaluate", "--model", model, "--sessions", log_file, option, tmp_path / "file" / "x"
    )
    assert isinstance(refused.exception, DataError)
    assert "cannot be written" in str(refused.exception)


def test_another_model_of_the_same_name_does_not_take_the_file(model, popular, log_file, tmp_path):
    words = ("--sessions", log_file, "--save", tmp_path / "out")
    assert run("evaluate", "--model", model, *words).exit_code == 0
    before = (tmp_path / "out" / "m.parquet").read_bytes()
    refused = run("evaluate", "--model", popular, *words)
    assert "another model of that name" in str(refused.exception)
    assert (tmp_path / "out" / "m.parquet").read_bytes() == before
    assert run("evaluate", "--model", popular, *words, "--replace").exit_code == 0
    assert Outcomes.read(tmp_path / "out" / "m.parquet").header.kind == "popularity"


def test_one_file_does_not_compare(tmp_path):
    assert "give two files or more" in str(run("compare", tmp_path / "x").exception)


def test_a_table_of_unlike_catalogs_says_so(model, recommender, log_file, tmp_path):
    fewer = Catalog(recommender.catalog.item_ids[:50], recommender.catalog.count[:50])
    save_bundle(
        tmp_path / "fewer",
        fewer,
        Popularity.fit(Ragged.from_lists([[0, 1, 2]]), 50),
        recommender.rules,
        data_fingerprint="y",
    )
    both = run("evaluate", "--model", model, "--model", tmp_path / "fewer", "--sessions", log_file)
    assert "not the same of every model" in " ".join(both.stdout.split())
    alone = run("evaluate", "--model", model, "--sessions", log_file)
    assert "not the same of every model" not in " ".join(alone.stdout.split())
    assert "60 items" in " ".join(alone.stdout.split())
