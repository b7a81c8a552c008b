"""`session-rec prepare` against a few lines of Python that hold the log in a list."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_rec.errors import DataError
from training.prepare.config import PrepareConfig
from training.prepare.job import prepare

T0 = 1_700_000_000_000
SPLITS = ("train", "validation", "test")

Row = dict[str, Any]


def cut(events: list[Row], gap: int | None) -> list[list[Row]]:
    """Sessions of sorted events: a new one at another key or, under `shop`, after a long gap."""
    sessions: list[list[Row]] = []
    for e in events:
        last = sessions[-1][-1] if sessions else None
        if last is None or last["key"] != e["key"] or (gap and e["ts"] - last["ts"] > gap):
            sessions.append([])
        sessions[-1].append(e)
    return sessions


def naive(rows: list[Row], config: PrepareConfig) -> dict[str, list[tuple]]:
    pairs = config.session_rules.name == "pairs"
    gap = None if pairs else min(config.rules.inactivity_ms, config.rules.horizon_ms)
    events, seen = [], set()
    for n, r in enumerate(rows):
        event = {**r, "arrival": n, "seq": n if r["seq"] is None else r["seq"]}
        event["key"] = r["session_id"]
        same = (r["session_id"], r["item_id"], r["ts"], r["type"])
        if not r["session_id"] or not r["item_id"] or (not pairs and same in seen):
            continue
        seen.add(same)
        events.append(event)
    clock = (lambda e: 0) if pairs else (lambda e: e["ts"])
    events.sort(key=lambda e: (e["session_id"], clock(e), e["seq"], e["arrival"]))
    visits = cut(events, gap)
    visits.sort(key=lambda v: (v[0]["ts"], v[0]["arrival"]))
    tests = round((config.split.test_fraction or 0) * len(visits))
    validations = round((config.split.validation_fraction or 0) * len(visits))
    border = len(visits) - tests
    test = visits[border:]
    cleaned = []
    for n, visit in enumerate(visits[:border]):
        span = max(e["ts"] for e in visit) - min(e["ts"] for e in visit)
        many = 0 < config.bots.max_events < len(visit)
        pace = config.bots.min_seconds_per_event * 1000
        fast = len(visit) >= config.bots.fast_events and span < pace * (len(visit) - 1)
        if not many and not fast:
            split = "train" if n < border - validations else "validation"
            cleaned.append([{**e, "key": n, "split": split} for e in visit])
    for _ in range(config.max_passes):
        support = Counter(e["item_id"] for v in cleaned for e in v)
        frequent = [
            e for v in cleaned for e in v if support[e["item_id"]] >= config.min_item_support
        ]
        again = [v for v in cut(frequent, gap) if len(v) >= config.min_session_length]
        done = sum(map(len, again)) == sum(map(len, cleaned))
        cleaned = again
        for n, v in enumerate(cleaned):
            for e in v:
                e["key"] = n
        if done:
            break
    groups: dict[str, dict[str, list[Row]]] = {s: {} for s in SPLITS}
    for visit in [*cleaned, *([{**e, "split": "test"} for e in v] for v in test)]:
        for e in visit:
            groups[e["split"]].setdefault(e["session_id"], []).append(e)
    out = {}
    for name, ids in groups.items():
        for own in ids.values():
            own.sort(key=lambda e: (clock(e), e["seq"], e["arrival"]))
        ordered = sorted(ids.values(), key=lambda own: (own[0]["ts"], own[0]["arrival"]))
        out[name] = [
            (e["session_id"], e["item_id"], e["ts"], e["type"], e["seq"])
            for own in ordered
            for e in own
        ]
    return out


rows = st.fixed_dictionaries(
    {
        "session_id": st.sampled_from(["a", "b", "c", "d", "a b", ""]),
        "item_id": st.sampled_from(["1", "1", "1", "2", "2", "3", "4", "ü", None]),
        "ts": st.integers(0, 40).map(lambda n: T0 + n * 1000),
        "type": st.sampled_from(["view", "cart"]),
        "seq": st.none() | st.integers(0, 5),
    }
)
configs = st.fixed_dictionaries(
    {
        "session_rules": st.fixed_dictionaries(
            {
                "name": st.sampled_from(["shop", "shop", "pairs"]),
                "inactivity_ms": st.integers(1000, 9000),
                "horizon_ms": st.integers(4000, 20000),
            }
        ),
        "bots": st.fixed_dictionaries(
            {
                "max_events": st.sampled_from([0, 0, 6, 12]),
                "min_seconds_per_event": st.sampled_from([0, 0, 1.5]),
                "fast_events": st.integers(2, 5),
            }
        ),
        "min_item_support": st.integers(1, 4),
        "min_session_length": st.integers(1, 3),
        "max_passes": st.sampled_from([1, 2, 20]),
        "split": st.fixed_dictionaries(
            {
                "test_fraction": st.sampled_from([0, 0.2, 0.4]),
                "validation_fraction": st.sampled_from([0, 0.2]),
            }
        ),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, min_size=20, max_size=80), configs)
def test_prepare_equals_the_naive_way(log: list[Row], chosen: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name, "log.jsonl"), Path(name, "out")
        # Left out where it has none, as producers do; one event has all, so that columns are known.
        extra = {"session_id": "", "item_id": None, "ts": T0, "type": "view", "seq": 0}
        lines = [{k: v for k, v in r.items() if v is not None} for r in log]
        source.write_text("\n".join(json.dumps(r) for r in [*lines, extra | {"item_id": "1"}]))
        config = PrepareConfig.model_validate(
            {"input": str(source), "columns": {"type": "type", "seq": "seq"}, **chosen}
        )
        expected = naive(log, config)
        try:
            report = prepare(config, out)
        except DataError:
            assert not expected["train"]
            return
        for split in SPLITS:
            found = duckdb.sql(
                "SELECT session_id, item_id, ts, type, seq "
                f"FROM read_parquet('{out / (split + '.parquet')}')"
            ).fetchall()
            assert found == expected[split]
            assert report.splits[split]["events"] == len(found)
        dropped = sum(report.dropped_rows.values()) + sum(n for n, _ in report.dropped.values())
        kept = sum(s["events"] for s in report.splits.values())
        assert report.rows == len(log) + 1 == dropped + kept
        sessions = sum(s["sessions"] for s in report.splits.values())
        lost = sum(n for _, n in report.dropped.values())
        assert report.sessions + report.sessions_split == sessions + lost
