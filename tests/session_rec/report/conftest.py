"""Outcomes of made-up models on made-up questions, so that no test depends on a trained one."""

import dataclasses
from functools import partial

import msgspec
import numpy as np
import pytest

from session_rec import Catalog, Ragged, SessionRules
from session_rec.bundle import save_bundle
from session_rec.certificate import Certificate, Check
from session_rec.evaluation.metrics import NOT_RANKED, session_intervals
from session_rec.evaluation.outcome_columns import codes_by_appearance
from session_rec.evaluation.outcomes import Outcomes, OutcomesHeader
from session_rec.evaluation.protocol import Protocol
from session_rec.manifest import fingerprint
from session_rec.predictors.popularity import Popularity
from session_rec.report import Report, calibration, slices

#: Items of the catalog; the questions know ten more.
N = 200
START = 1_764_000_000_000
EVIL = "<script>alert('x')</script> & \"more\" <b>"


def figures(model, ranks):
    """What an evaluation says, from the formulas in the README's words."""
    metrics = {}
    for k in (1, 5, 10, 20):
        metrics[f"hr@{k}"] = sum(r <= k for r in ranks) / len(ranks)
        metrics[f"mrr@{k}"] = sum(1 / r for r in ranks if r <= k) / len(ranks)
        metrics[f"ndcg@{k}"] = sum(1 / np.log2(r + 1) for r in ranks if r <= k) / len(ranks)
    return {
        "model": model,
        "metrics": {k: float(v) for k, v in metrics.items()},
        "intervals": {k: [float(v) * 0.9, float(v) * 1.1] for k, v in metrics.items()},
        "coverage@20": 0.5,
        "shown_popularity@20": 0.25,
        "fallback": 0.1,
        "unknown_targets": 0.05,
    }


def make_outcomes(model="one", skill=1.0, sessions=120, rules=None, start=START, digits="f" * 16):
    """Questions that are the same for every model, and answers that are better with ``skill``."""
    rng = np.random.default_rng(0)
    size = rng.integers(1, 10, sessions)
    q = int(size.sum())
    session = np.repeat(np.arange(sessions), size)
    position = np.concatenate([np.arange(s) for s in size])
    item, target = rng.integers(0, N + 10, q), rng.integers(0, N + 10, q)
    known = target < N
    length = np.minimum(position + 1, 20)
    unknown = rng.binomial(length, 0.2)
    own = np.random.default_rng(int(skill * 10))
    rank = np.where(known, 1 + (own.exponential(30 / skill, q)).astype(np.int64), NOT_RANKED)
    slate = np.empty((q, 20), np.int32)
    for i in range(q):
        # The slate holds the target at its rank, or not at all.
        slate[i] = own.choice(np.setdiff1d(np.arange(N), target[i]), 20, replace=False)
        if rank[i] <= 20:
            slate[i, rank[i] - 1] = target[i]
    rules = rules or SessionRules()
    header = OutcomesHeader(
        1, model, "popularity", digits,
        Protocol("d" * 64, "test", rules.to_dict(), 1, q, sessions, N, "c" * 16),
        figures(model, rank),
    )  # fmt: skip
    kind = rng.choice(3, q, p=[0.8, 0.15, 0.05])
    kind[:3] = 0, 1, 2
    return Outcomes(
        header,
        tuple(f"s{i:03}" for i in range(sessions)),
        session,
        position.astype(np.int32),
        start + np.cumsum(rng.integers(1_000, 3_600_000, q)),
        ("view", "cart", "purchase"),
        kind.astype(np.int16),
        length.astype(np.int32),
        unknown.astype(np.int32),
        tuple(f"i{i:03}" for i in range(N + 10)),
        item.astype(np.int32),
        target.astype(np.int32),
        known,
        np.where(known, 1 + target, -1).astype(np.int32),
        rng.random(q) < 0.3,
        unknown == length,
        rank,
        slate,
        np.full(q, 0.25, np.float32),
        own.random(q).astype(np.float32),
        own.random(q).astype(np.float32),
    ).sealed()


def save(o, path):
    """Writes the outcomes with their items numbered by first appearance, as a file has them."""
    used, codes = codes_by_appearance(np.column_stack((o.item, o.target, o.slate)))
    codes = codes.astype(np.int32)
    dataclasses.replace(
        o, item_ids=tuple(o.item_ids[i] for i in used.tolist()),
        item=codes[:, 0], target=codes[:, 1], slate=np.ascontiguousarray(codes[:, 2:]),
    ).sealed().save(path)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def few_resamples():
    """Intervals from fewer resamples: they cost most of a report, and one test holds them."""
    few = partial(session_intervals, resamples=50)
    with pytest.MonkeyPatch.context() as patch:
        for module in (slices, calibration):
            patch.setattr(module, "session_intervals", few)
        yield


@pytest.fixture(scope="session")
def two(few_resamples):
    return make_outcomes("good", 3.0, digits="a" * 16), make_outcomes("poor", 0.5, digits="b" * 16)


@pytest.fixture(scope="session")
def plain(two):
    """A report on outcomes alone."""
    return Report.of(two)


@pytest.fixture
def directory(tmp_path):
    """A model directory that a test may spoil."""
    return make_directory(tmp_path)


def make_directory(tmp_path):
    """A model directory with a name that is HTML, a training history and a certificate."""
    counts = {f"i{i:03}": 1000 - i for i in range(N)}
    names = {i: f"Item {i[1:]} {EVIL}" for i in counts}
    save_bundle(
        tmp_path / "model",
        Catalog.from_counts(counts, {"name": names}),
        Popularity.fit(Ragged.from_lists([[0, 1]]), N),
        SessionRules(),
        data_fingerprint="e" * 64,
        training={
            "settings": {"seed": 7},
            "history": [
                {"epoch": 0, "loss": 4.5, "hr20": 0.30, "mrr20": 0.10},
                {"epoch": 1, "loss": 3.5, "hr20": 0.40, "mrr20": 0.15},
            ],
        },
        leakage=Certificate(
            {
                "future": Check("not applicable", "Counts look at no sequence."),
                "held out": Check("passed", "No test session is in the fitted data."),
            },
            seed=1,
        ),
    )
    return tmp_path / "model"


@pytest.fixture(scope="session")
def full(two, tmp_path_factory):
    """A report that has everything."""
    good, poor = two
    tmp_path = tmp_path_factory.mktemp("full")
    directory = make_directory(tmp_path)
    digits = fingerprint(directory)
    header = msgspec.structs.replace(good.header, fingerprint=digits)
    (tmp_path / "live.json").write_bytes(
        msgspec.json.encode(
            {
                "model": digits, "events": 30, "events_per_second": 10.0, "missing": 1,
                "latency_ms": {"p50": 2.0, "p90": 8.0, "p99": 20.0}, "timely_hr@20": 0.25,
                "latency_histogram": [[1.0, 10.0, 28], [10.0, 100.0, 2]],
                "protocol": good.header.protocol,
            }
        )
    )  # fmt: skip
    (tmp_path / "cost.json").write_bytes(
        msgspec.json.encode(
            [
                {
                    "model": "poor", "protocol": poor.header.protocol,
                    "cost_ms": {"single_p50": 1.0, "single_p99": 2.0, "batch_p50": 0.5},
                }
            ]
        )
    )  # fmt: skip
    return Report.of(
        [poor, dataclasses.replace(good, header=header)],
        directories=[directory],
        replays=[tmp_path / "live.json"],
        costs=tmp_path / "cost.json",
    )
