"""A small model, a small log, and the questions of that log cut in plain Python."""

import duckdb
import numpy as np
import pytest

from session_rec import Catalog, Ragged, Recommender, SessionRules
from session_rec.bundle import save_bundle
from session_rec.event_log import read_sessions
from session_rec.predictors.sequential_rules import SequentialRules

GAP = 30 * 60_000
#: Items of the catalog: ``i00`` to ``i59``; the log has five more.
N = 60


@pytest.fixture
def model(tmp_path):
    rng = np.random.default_rng(0)
    steps = [np.cumsum(rng.integers(0, 3, rng.integers(2, 9))) % (N - 5) for _ in range(300)]
    sessions = Ragged.from_lists([s.tolist() for s in steps])
    catalog = Catalog(tuple(f"i{n:02}" for n in range(N)), np.bincount(sessions.rows, minlength=N))
    save_bundle(
        tmp_path / "m",
        catalog,
        SequentialRules.fit(sessions, N),
        SessionRules(max_length=4),
        data_fingerprint="x",
    )
    return tmp_path / "m"


@pytest.fixture
def recommender(model):
    return Recommender.load(model)


@pytest.fixture
def recorded():
    """Clicks of 40 sessions: (session, item, ts, type), some items unknown, some gaps."""
    rng = np.random.default_rng(1)
    clicks = []
    for s in range(40):
        ts = int(rng.integers(0, 10_000_000))
        for _ in range(rng.integers(1, 9)):
            ts += int(rng.choice([1_000, 60_000, GAP, GAP + 1]))
            kind = str(rng.choice(["view", "cart"]))
            clicks.append((f"s{s:02}", f"i{rng.integers(0, N + 5):02}", ts, kind))
    return clicks


@pytest.fixture
def log_file(tmp_path, recorded):
    values = ", ".join(str(c) for c in recorded)
    path = tmp_path / "log.parquet"
    duckdb.sql(
        f"COPY (SELECT * FROM (VALUES {values}) t(session_id, item_id, ts, type)) TO '{path}' "
        "(FORMAT parquet)"
    )
    return path


@pytest.fixture
def log(log_file):
    return read_sessions(log_file)


@pytest.fixture
def asked(recorded):
    """(place in the log, context, next item) by the rule, in plain Python."""
    context: list[str] = []
    questions = []
    for p, (session, item, ts, _) in enumerate(recorded[:-1]):
        same = p > 0 and recorded[p - 1][0] == session and ts - recorded[p - 1][2] <= GAP
        context = [*(context if same else []), item][-4:]
        next_session, next_item, next_ts, _ = recorded[p + 1]
        if next_session == session and next_ts - ts <= GAP:
            questions.append((p, list(context), next_item))
    return questions
