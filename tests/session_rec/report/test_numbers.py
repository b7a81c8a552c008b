"""The numbers of a report against plain Python over the questions."""

import dataclasses
from collections import Counter, defaultdict
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_rec import Catalog, SessionRules
from session_rec.evaluation.metrics import NOT_RANKED, session_intervals
from session_rec.report import Report, slices
from session_rec.report.calibration import calibration_bins, calibration_error, first_item_hits
from session_rec.report.examples import choose_sessions, clicks
from session_rec.report.slates import concentration, gini, popularity_shares, shown_counts
from session_rec.report.slices import slice_rows, slicings

from .conftest import N, make_outcomes


def label(by, o, q):
    """The slice of question ``q``, from its row alone."""
    if by == "context length":
        n = int(o.context_length[q])
        return str(n) if n < 4 else "4-5" if n < 6 else "6-10" if n < 11 else "11-20"
    if by == "target popularity":
        if not o.target_known[q]:
            return "unknown"
        share = o.target_popularity[q] / N
        bands = (0.01, "top 1 %"), (0.05, "1-5 %"), (0.2, "5-20 %"), (0.5, "20-50 %")
        return next((name for most, name in bands if share <= most), "rarer half")
    if by == "repeated or new target":
        return "repeated" if o.target_repeated[q] else "new"
    if by == "unknown items":
        unknown, length = int(o.unknown_items[q]), int(o.context_length[q])
        return "none" if unknown == 0 else "all" if unknown == length else "some"
    if by == "event type":
        return o.type_names[o.type[q]]
    hour = datetime.fromtimestamp(int(o.ts[q]) / 1000, UTC).hour // 3 * 3
    return f"{hour:02}-{hour + 3:02} h"


def test_every_slice_is_what_a_loop_over_the_questions_finds(two):
    models = {o.header.model: o for o in two}
    divisions, not_made = slicings(two[0])
    assert [s.by for s in divisions] == [
        "context length", "target popularity", "repeated or new target", "unknown items",
        "event type", "time of day",
    ]  # fmt: skip
    assert not_made == {}
    for slicing in divisions:
        expected = defaultdict(list)
        for name, o in models.items():
            for q, rank in enumerate(o.rank.tolist()):
                expected[label(slicing.by, o, q), name].append((rank, int(o.session[q])))
        rows = slice_rows(slicing, models)
        assert {(r.slice, r.model) for r in rows} == set(expected)
        for r in rows:
            asked = expected[r.slice, r.model]
            gain = [(rank <= 20) / (1 if r.metric == "hr@20" else rank) for rank, _ in asked]
            assert r.value == pytest.approx(sum(gain) / len(asked))
            assert r.questions == len(asked)
            assert r.sessions == len({s for _, s in asked})
            assert r.low <= r.value <= r.high


def test_slices_weighted_by_their_questions_are_the_whole(full):
    whole = {(m.model, m.metric): m.value for m in full.metrics}
    n = full.protocol["questions"]
    sums, questions = Counter(), Counter()
    for s in full.slices:
        sums[s.by, s.model, s.metric] += s.value * s.questions
        questions[s.by, s.model, s.metric] += s.questions
    assert set(questions.values()) == {n}
    for (by, model, metric), total in sums.items():
        assert total / n == pytest.approx(whole[model, metric]), by


def test_an_interval_of_a_slice_resamples_its_sessions(two, monkeypatch):
    monkeypatch.setattr(slices, "session_intervals", session_intervals)
    o = two[0]
    slicing = next(s for s in slicings(o)[0] if s.by == "repeated or new target")
    row = next(r for r in slice_rows(slicing, {"m": o}) if r.slice == "new")
    inside = ~o.target_repeated
    of = [(o.rank[inside & (o.session == s)] <= 20) for s in np.unique(o.session[inside])]
    rng = np.random.default_rng(99)
    means = []
    for _ in range(2000):
        drawn = [of[i] for i in rng.integers(0, len(of), len(of))]
        means.append(np.concatenate(drawn).mean())
    assert (row.low, row.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.01)


def test_without_a_clock_there_is_no_time_of_day():
    as_given = Report.of([make_outcomes(rules=SessionRules(name="pairs"))])
    counted = Report.of([make_outcomes(start=0)])
    for report, why in ((as_given, "take sessions as given"), (counted, "is no clock")):
        assert "time of day" not in {s.by for s in report.slices}
        assert why in report.notes["slices by time of day"]
        assert why in report.html().decode()


def test_many_event_types_are_taken_together():
    o = make_outcomes()
    names = tuple(f"t{i}" for i in range(12))
    kinds = (np.arange(len(o)) % 12).astype(np.int16)
    slicing = next(
        s
        for s in slicings(dataclasses.replace(o, type_names=names, type=kinds))[0]
        if s.by == "event type"
    )
    assert len(slicing.labels) == 7
    assert slicing.labels[-1] == "6 rarer types"
    assert len(slicing.code) == len(o)


def test_a_calibrated_model_lies_on_the_line_and_an_overconfident_one_right_of_it():
    rng = np.random.default_rng(3)
    true = rng.beta(1, 3, 20_000)
    hit = rng.random(20_000) < true
    session = np.arange(20_000)
    bins = calibration_bins("m", true, hit, session)
    assert len(bins) == 10
    assert {b.questions for b in bins} == {2000}
    # The error of a calibrated model is sampling noise: about 0.4 / sqrt(2000) in a bin.
    assert calibration_error(bins) < 0.015
    assert sum(b.hit_low <= b.confidence <= b.hit_high for b in bins) >= 8
    over = calibration_bins("m", np.minimum(true + 0.2, 1.0), hit, session)
    assert calibration_error(over) == pytest.approx(0.2, abs=0.015)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.1001, 0.5, 1.0]), st.booleans()), min_size=1)
)
def test_bins_hold_every_question_once_and_equal_confidences_together(asked):
    confidence = np.array([c for c, _ in asked])
    hit = np.array([h for _, h in asked])
    bins = calibration_bins("m", confidence, hit, np.arange(len(asked)))
    assert sum(b.questions for b in bins) == len(asked)
    assert sum(b.questions * b.confidence for b in bins) == pytest.approx(confidence.sum())
    assert sum(b.questions * b.hit_rate for b in bins) == pytest.approx(hit.sum())
    for c in set(confidence.tolist()):
        assert sum(b.low <= c <= b.high for b in bins) == 1


def test_a_hit_is_the_item_shown_first(two):
    o = two[0]
    shown = [o.item_ids[i] for i in o.slate[:, 0]]
    assert first_item_hits(o).tolist() == [
        s == o.item_ids[t] for s, t in zip(shown, o.target.tolist(), strict=True)
    ]


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=30).filter(any))
def test_gini_is_half_the_relative_mean_difference(counts):
    n = len(counts)
    difference = sum(abs(a - b) for a in counts for b in counts) / n**2
    assert gini(np.sort(counts)) == pytest.approx(difference / (2 * sum(counts) / n))


def test_concentration_and_popularity_by_counting(two):
    o = two[0]
    times = Counter(o.slate.ravel().tolist())
    rising = sorted(times[i] for i in range(N))
    assert shown_counts(o).tolist() == rising
    curve = concentration("m", shown_counts(o))
    total = sum(rising)
    for point in curve:
        if (point.items * N) % 1 == 0:
            top = rising[::-1][: int(point.items * N)]
            assert point.slots == pytest.approx(sum(top) / total)
    assert curve[0].slots == 0 and curve[-1].slots == pytest.approx(1)

    rng = np.random.default_rng(0)
    clicks_of = rng.permutation(N)
    catalog = Catalog.from_counts({f"i{i:03}": int(clicks_of[i]) for i in range(N)})
    tenth = {i: 1 + (N - 1 - int(clicks_of[i])) // (N // 10) for i in range(N)}
    slots = Counter(tenth[i] for i in o.slate.ravel().tolist())
    targets = Counter(tenth[t] for t in o.target.tolist() if t < N)
    for share in popularity_shares("m", o, catalog):
        assert share.slots == pytest.approx(slots[share.decile] / sum(slots.values()))
        assert share.targets == pytest.approx(targets[share.decile] / sum(targets.values()))


def test_example_sessions_are_a_stratified_sample(two):
    o = two[0]
    share = {s: float(np.mean(o.rank[o.session == s] <= 5)) for s in range(len(o.session_ids))}
    fit = [s for s in share if 3 <= int((o.session == s).sum()) <= 8]
    ordered = sorted(share[s] for s in fit)
    drawn = set()
    for seed in range(5):
        chosen = choose_sessions(o, 6, seed).sessions.tolist()
        assert chosen == choose_sessions(o, 6, seed).sessions.tolist()
        assert set(chosen) <= set(fit)
        # The i-th is one of the i-th sixth by share of hits.
        parts = np.array_split(ordered, 6)
        for s, part in zip(chosen, parts, strict=True):
            assert part[0] <= share[s] <= part[-1]
        drawn.add(tuple(chosen))
    assert len(drawn) == 5
    assert f"{len(fit):,} sessions" in choose_sessions(o, 6, 0).says
    assert len(choose_sessions(o, 1000, 0).sessions) == len(fit)
    assert len(choose_sessions(o, 0, 0).sessions) == 0


def test_an_example_tells_every_question_of_its_session_in_order(two):
    o = two[0]
    chosen = choose_sessions(o, 4, 1).sessions
    rows = clicks("m", o, chosen, str.upper)
    questions = [q for s in chosen.tolist() for q in range(len(o)) if o.session[q] == s]
    assert len(rows) == len(questions)
    for row, q in zip(rows, questions, strict=True):
        assert (row.session_id, row.position) == (o.session_ids[o.session[q]], o.position[q])
        assert row.shown == tuple(o.item_ids[i] for i in o.slate[q, :5])
        assert (row.item, row.target_name) == (
            o.item_ids[o.item[q]], o.item_ids[o.target[q]].upper()
        )  # fmt: skip
        assert row.rank == (None if o.rank[q] == NOT_RANKED else o.rank[q])
        assert (row.target in row.shown) == (o.rank[q] <= 5)
