"""The job from file to averages, on sessions whose figures a reader can work out."""

import json
from math import log2

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from session_rec.catalog import Catalog
from session_rec.certificate import Certificate
from session_rec.errors import ConfigError, DataError
from session_rec.evaluation.metrics import session_intervals
from session_rec.recommender import Recommender
from training import train
from training.rolling.commands import rolling
from training.rolling.config import RollingConfig
from training.rolling.job import roll
from training.rolling.report import averages

from .conftest import at_day, days

#: a is followed by b on the first day, by c on the second; d is new on the third.
SHOP = days(["ab", "ab", "ab"], ["ac", "ac", "ab", "ac"], ["acd"], ["ac", "cd"])
RULES = {"name": "pairs"}


@pytest.fixture(autouse=True)
def certificate(request, monkeypatch):
    """The leakage certificate takes seconds, and is of interest to one test only."""
    if "certificate" not in request.node.name:
        monkeypatch.setattr(train, "certify", lambda *_, **__: Certificate({}, seed=1))


@pytest.fixture
def run(write, tmp_path):
    """Rolls over sessions and gives the report as JSON values."""

    def call(sessions, names="popularity", run_dir="run", **changes):
        path = write(sessions, "-".join(changes) or "log")
        config = RollingConfig(
            **{"data": path, "session_rules": RULES, "run_dir": tmp_path / run_dir, **changes}
        )
        return roll(config, names.split(",")).to_dict()

    return call


def by_window(report, metric, model=0):
    windows = report["models"][model]["windows"]
    return [w["evaluation"]["metrics"][metric] if w["questions"] else None for w in windows]


def test_figures_of_each_window_and_their_averages(run):
    report = run(SHOP, "sequential-rules,popularity")
    # Day 2 by day 1: a -> b only, c unknown: of ac, ac, ab, ac one hit. Day 3, last item of acd: d
    # is unknown. Day 4: a -> c (3 of 6) against a -> b (4 of 7): rank 2; c -> d: rank 1.
    assert by_window(report, "hr@20") == [0.25, 0.0, 1.0]
    assert by_window(report, "mrr@20") == [0.25, 0.0, pytest.approx((1 / 2 + 1) / 2)]
    assert by_window(report, "ndcg@20")[2] == pytest.approx((1 / log2(3) + 1) / 2)
    # Clicks up to day 1: a 3, b 3; day 2: a 7, b 4, c 3; day 3: a 8, b 4, c 4, d 1. Ties against.
    assert by_window(report, "mrr@20", 1) == [
        pytest.approx((1 / 2) / 4),
        0.0,
        pytest.approx((1 / 3 + 1 / 4) / 2),
    ]
    rules = report["models"][0]
    assert rules["mean_of_windows"]["metrics"]["hr@20"] == pytest.approx(1.25 / 3)
    assert rules["pooled"]["metrics"]["hr@20"] == pytest.approx(3 / 7)
    deviation = np.sqrt(((np.array([0.25, 0, 1]) - 1.25 / 3) ** 2).sum() / 2)
    assert rules["mean_of_windows"]["standard_deviation"]["hr@20"] == pytest.approx(deviation)
    assert [w["questions"] for w in rules["windows"]] == [4, 1, 2]
    assert [w["trained"]["items"] for w in rules["windows"]] == [2, 3, 4]
    assert [(w["trained_up_to"], w["window"]) for w in rules["windows"]] == [
        ("2026-03-01", "2026-03-02"),
        ("2026-03-02", "2026-03-03"),
        ("2026-03-03", "2026-03-04"),
    ]
    protocol = report["protocol"]
    assert protocol["positions"].startswith("the last event of every session")
    assert protocol["questions"] == protocol["sessions"] == 7 and protocol["windows"] == 3
    assert protocol["rules"]["name"] == "pairs" and "trained up to the window" in protocol["split"]


def test_every_position_counts_where_asked_for(run):
    report = run(SHOP, "sequential-rules", positions="every")
    assert [w["questions"] for w in report["models"][0]["windows"]] == [4, 2, 2]
    assert by_window(report, "hr@20") == [0.25, 0.5, 1.0]
    assert report["protocol"]["positions"].startswith("every position")
    later = run(SHOP, "sequential-rules", positions="every", min_prefix=2, burn_in=2)
    assert [w["questions"] for w in later["models"][0]["windows"]] == [1, 0]


def test_each_model_has_its_leakage_certificate(run, tmp_path):
    run(SHOP, keep_models=True)
    compared = []
    for manifest in sorted((tmp_path / "run").rglob("manifest.json")):
        checks = json.loads(manifest.read_text())["leakage"]["checks"]
        assert {c["status"] for c in checks.values()} <= {"passed", "not applicable"}
        numbers = checks["held out"]["numbers"]
        compared.append((numbers["fitted sessions"], numbers["test sessions compared"]))
    # Each is held against the window that it is scored on.
    assert compared == [(3, 4), (7, 1), (8, 2)]


def test_a_history_of_one_window_forgets_the_days_before(run):
    report = run(SHOP, "popularity", history=1, run_dir="short")
    # Day 4 by day 3 alone: a, c, d once each, b never but in the catalog: c and d tie with a.
    assert by_window(report, "mrr@20")[2] == pytest.approx(1 / 3)


def test_burn_in_and_a_limit_choose_the_windows(run):
    report = run(SHOP, burn_in=2, max_windows=1)
    (window,) = report["models"][0]["windows"]
    assert window["window"] == "2026-03-03" and report["protocol"]["burn_in"] == 2
    with pytest.raises(ConfigError, match="burn_in = 4 leaves nothing to score: .* 4 windows"):
        run(SHOP, burn_in=4)


def test_windows_without_a_question_are_told_and_not_averaged(run):
    report = run(days(["ab"], ["a", "b"], ["ab"]), "sequential-rules")
    assert by_window(report, "hr@20") == [None, 1.0]
    assert report["models"][0]["mean_of_windows"]["metrics"]["hr@20"] == 1.0
    assert report["protocol"]["windows"] == report["protocol"]["windows_without_questions"] == 1
    with pytest.raises(DataError, match="no scored window has a session of two events"):
        run(days(["ab"], ["a"]))


def test_repeats_can_be_collapsed(run):
    repeats = days(["aabba"], ["abb"])
    for collapsed, events, questions in ((False, 5, 2), (True, 3, 1)):
        report = run(repeats, positions="every", collapse_repeats=collapsed)
        (window,) = report["models"][0]["windows"]
        assert (window["trained"]["events"], window["questions"]) == (events, questions)
        assert report["protocol"]["repeats_collapsed"] == collapsed


def test_item2vec_goes_on_with_the_new_window_and_new_items(run, tmp_path):
    # cd and de need more company than one window has, to be learnt at all.
    shop = days(["ab", "ba"] * 5, ["cd", "dc", "ab"] * 5, ["x"], ["ab", "cd"])
    table = {"vector_size": 4, "epochs": 20}
    models = {"warm": {"kind": "item2vec", **table}, "cold": {"kind": "item2vec", **table}}
    models["cold"]["warm_start"] = False
    report = run(shop, "warm,cold", models=models, keep_models=True)
    warm, cold = ([w["trained"] for w in m["windows"]] for m in report["models"])
    assert [t["warm_start"] for t in warm] == [False, True, True]
    assert [t["sessions"] for t in warm] == [10, 15, 0] and [t["items"] for t in warm] == [2, 4, 4]
    assert warm[1]["new_items"] == 2
    assert [t["sessions"] for t in cold] == [10, 25, 26] and not any(t["warm_start"] for t in cold)
    # Day 3 has nothing to learn from: the model of day 2 stays in service, x unknown to it.
    first, second, third = (
        Recommender.load(d / "model") for d in sorted((tmp_path / "run" / "warm").iterdir())
    )
    assert second.fingerprint == third.fingerprint != first.fingerprint
    assert second.catalog.item_ids == ("a", "b", "c", "d")
    counts = second.predictor.arrays()["count"]
    assert dict(zip("abcd", counts.tolist(), strict=True)) == {"a": 15, "b": 15, "c": 10, "d": 10}


def steps(run_dir):
    """Every file of a run with the time of its last change."""
    return {p: p.stat().st_mtime_ns for p in run_dir.rglob("*") if p.is_file()}


def test_newer_data_leave_what_was_done_as_it_is(run, tmp_path):
    run(SHOP)
    before = {p: t for p, t in steps(tmp_path / "run").items() if p.name.startswith("scored")}
    assert len(before) == 3
    longer = run([*SHOP, at_day(4, "ab"), at_day(4, "zz", 1)])
    after = steps(tmp_path / "run")
    assert all(after[p] == t for p, t in before.items())
    assert longer == run([*SHOP, at_day(4, "ab"), at_day(4, "zz", 1)], run_dir="fresh")
    assert by_window(longer, "hr@20")[:3] == by_window(run(SHOP, run_dir="fresh"), "hr@20")


@pytest.mark.parametrize(
    "change",
    [
        {"history": 1},
        {"positions": "every"},
        {"collapse_repeats": True},
        {"models": {"sequential-rules": {"steps": 1, "newest_n": 1}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_setting_does_not_mix_with_what_is_there(run, change):
    shop = days(["aab", "ab"], ["acc", "ab", "ac"], ["acdd", "ab"])
    before = run(shop, "sequential-rules", max_windows=2)
    mixed = run(shop, "sequential-rules", max_windows=2, **change)
    fresh = run(shop, "sequential-rules", max_windows=2, run_dir="fresh", **change)
    assert mixed == fresh != before


def test_other_data_do_not_mix_with_what_is_there(run):
    run(SHOP, "popularity")
    other = [at_day(0, "bc", 7), *SHOP]
    assert run(other, "popularity") == run(other, "popularity", run_dir="other")


def test_only_the_newest_model_is_kept_unless_all_are_asked_for(run, tmp_path):
    run(SHOP)
    assert len(list((tmp_path / "run").rglob("manifest.json"))) == 1
    run(SHOP, run_dir="all", keep_models=True)
    models = sorted((tmp_path / "all").rglob("manifest.json"))
    assert len(models) == 3
    trained = {p: p.stat().st_mtime_ns for p in models}
    # Another question is asked of the same models.
    run(SHOP, run_dir="all", keep_models=True, positions="every")
    assert {p: p.stat().st_mtime_ns for p in models} == trained
    counts = Catalog.from_json((models[1].parent / "catalog.json").read_bytes()).count
    assert counts.tolist() == [7, 4, 3]


def test_a_report_without_its_models_can_be_asked_another_question(run):
    """Models of all windows but the last are gone: they are trained again, warm chain and all."""
    shop = days(["ab", "ba"] * 3, ["bc", "cb"] * 3, ["ab", "cb"])
    tables = {"item2vec": {"vector_size": 4, "epochs": 3}}
    run(shop, "item2vec", models=tables)
    again = run(shop, "item2vec", models=tables, positions="every")
    assert again == run(shop, "item2vec", models=tables, positions="every", run_dir="fresh")


def test_the_interval_of_one_window_is_that_of_resampled_sessions():
    rng = np.random.default_rng(0)
    session = np.sort(rng.integers(0, 40, 200))
    values = {"hr@20": (rng.random(200) < 0.1 + 0.8 * (session % 2)).astype(float)}
    mean, pooled = averages([values], [session])
    expected = session_intervals(values, session, seed=7)["hr@20"]
    assert mean.intervals == pooled.intervals
    np.testing.assert_allclose(mean.intervals["hr@20"], expected, atol=0.015)
    # Two windows: the mean's deviation is that of each, divided by the root of two.
    both, _ = averages([values, values], [session, session])
    half = np.diff(both.intervals["hr@20"]) / np.diff(mean.intervals["hr@20"])
    assert half == pytest.approx(1 / np.sqrt(2), abs=0.06)


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"window": "month"}, "unknown window 'month'"),
        ({"models": {"vmis-knn": {"neighbors": 3}}}, "unknown key 'neighbors'.*'neighbours'"),
        ({"models": {"mine": {}}}, "unknown model kind 'mine'"),
        ({"models": {"../up": {"kind": "popularity"}}}, "cannot be called '../up'"),
        ({"history": 0}, "a history has at least 1 window"),
    ],
)
def test_bad_settings_are_said_before_anything_is_trained(run, tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        run(SHOP, ",".join(changes.get("models", ["popularity"])), **changes)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"unknown model 'nothing': choose of popularity"):
        run(SHOP, "nothing")


def test_the_command_prints_averages_and_writes_them(write, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    app = typer.Typer()
    app.command()(rolling)
    path = write(SHOP)
    arguments = ["--data", str(path), "--set", f"run_dir={tmp_path / 'run'}", "--models"]
    arguments += ["popularity", "--set", "session_rules.name=pairs", "--positions", "last"]
    arguments += ["--window", "day", "--json", str(tmp_path / "r.json")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "Mean of 3 windows, percent" in done.stdout and "2026-03-04" in done.stdout
    assert "4 windows of a day" in done.output and "scored: 3" in done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    written = json.loads((tmp_path / "r.json").read_text())
    assert written == json.loads((tmp_path / "run" / "rolling.json").read_text())
