"""Two models in a daemon, of which one is clearly better: the experiment finds out, over a swap of
the champion and a restart."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from broker_fixtures import Broker
from stream_support import LATENESS_MS, RULES, K, Raw, Stage, accounted, click, expected_slates
from typer.testing import CliRunner

from session_rec.bundle import save_bundle
from session_rec.catalog import Catalog
from session_rec.cli import build_app
from session_rec.errors import DataError
from session_rec.experiment_arms import CHALLENGER, CHAMPION, Arms
from session_rec.manifest import fingerprint
from session_rec.model_store import ModelStore
from session_rec.predictors.sequential_rules import SequentialRules, SequentialRulesConfig
from session_rec.ragged import Ragged
from streaming.event_columns import EventColumns
from streaming.messages import decode_prediction
from streaming.record_files import RecordFile
from streaming.slate_joins import SlateJoins

ITEMS = [f"i{n:02d}" for n in range(30)]
SHARE = 0.4
WAIT_S = 120  # for a daemon to start and answer, on a busy machine
ARMS = Arms("salt", SHARE)


def shop(sessions: int, seed: int) -> list[Raw]:
    """From each item shoppers go three places on, seven times of ten; a session begins every two
    seconds, its clicks are eight apart."""
    rng = random.Random(seed)
    begin, events = 1_700_000_000_000, []
    for n in range(sessions):
        at = rng.randrange(30)
        for c in range(rng.choice([1, 3, 4, 5])):
            events.append(click(f"s{seed}-{n}", ITEMS[at], begin + n * 2000 + c * 8000))
            at = (at + 3) % 30 if rng.random() < 0.7 else rng.randrange(30)
    return sorted(events, key=lambda e: e[2])


def model(directory: Path, step: int | None, seed: int) -> Path:
    """Fitted to walks of that step; None is at random."""
    rng = np.random.default_rng(seed)
    walks = [
        rng.integers(0, 30, 8).tolist()
        if step is None
        else ((rng.integers(30) + step * np.arange(8)) % 30).tolist()
        for _ in range(80)
    ]
    predictor = SequentialRules.fit(
        Ragged.from_lists(walks), 30, config=SequentialRulesConfig(newest_n=5, decay=0.7)
    )
    catalog = Catalog(tuple(ITEMS), np.bincount(np.concatenate(walks), minlength=30))
    save_bundle(directory, catalog, predictor, RULES, data_fingerprint="shop")
    return directory


def run(stage: Stage, settings: dict, *options: str):
    arguments = ["experiment", *options]
    for setting in stage.settings(**settings):
        arguments += ["--set", setting]
    return CliRunner().invoke(build_app(), arguments)


def as_kcat_writes_them(records: list, path: Path) -> None:
    lines = [
        json.dumps(
            {"topic": r.topic, "partition": r.partition, "offset": r.offset, "tstype": "create",
             "ts": r.timestamp, "broker": 0, "key": r.key.decode(), "payload": r.value.decode()}
        )
        for r in records
    ]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", ["embedded", pytest.param("apache", marks=pytest.mark.soak)])
def test_it_finds_the_better_model_over_a_swap_and_a_restart(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    broker: Broker = request.getfixturevalue(f"{kind}_broker")
    store = ModelStore(tmp_path / "store")
    for seed, (name, step) in enumerate((("first", None), ("second", None), ("walks", 3))):
        model(store.directory / name, step, seed)
    store.promote("first", uncertified=True)
    stage = Stage(broker, store.directory)
    with_it = {
        "model_poll_s": 0.05,
        "experiment.name": "steps",
        "experiment.salt": "salt",
        "experiment.challenger": "walks",
        "experiment.share": SHARE,
    }
    events = shop(240, seed=1)
    third = len(events) // 3
    with stage.daemon(**with_it) as daemon:
        stage.produce(events[:third])
        stage.wait_committed(third, WAIT_S)
        half_way = daemon.metrics()
        answered = stage.read(stage.predictions)
        store.promote("second", uncertified=True)
        daemon.wait_log("model swapped")
        stage.produce(events[third : 2 * third])
        stage.wait_committed(2 * third, WAIT_S)
        metrics = daemon.metrics()
        assert daemon.stop() == 0, daemon.log
    with stage.daemon(**with_it) as daemon:
        stage.produce(events[2 * third :])
        stage.wait_committed(len(events), WAIT_S)
        assert daemon.stop() == 0, daemon.log

    # Each session has its arm, whichever process answered; each answer is its model's.
    records = stage.read(stage.events)
    prints = {name: fingerprint(store.directory / name) for name in ("first", "second", "walks")}
    some = [r for r in records if r.key[-1:] in b"05"]
    offline = {prints[name]: expected_slates(some, store.directory / name) for name in prints}
    found = stage.slates()
    assert set(found) == {f"{r.topic}-{r.partition}-{r.offset}" for r in records}
    checked = Counter()
    by_arm = Counter()
    for message in found.values():
        arm = message.pop("arm")
        assert message.pop("experiment") == "steps"
        assert arm == ARMS.of(message["session_id"])
        assert (arm == CHALLENGER) == (message["model"] == prints["walks"])
        by_arm[arm, message["model"]] += 1
        if message["session_id"][-1] in "05":
            assert message == offline[message["model"]][message["id"]]
            checked[message["model"]] += 1
    assert len(checked) == 3 and min(checked.values()) > 10
    assert set(by_arm) == {(CHAMPION, prints["first"]), (CHAMPION, prints["second"]),
                           (CHALLENGER, prints["walks"])}  # fmt: skip

    # What is joined is what the daemon itself counted.
    columns = EventColumns()
    for record in records:
        columns.add(record)
    joins = SlateJoins("steps", columns, 10**9, RULES.inactivity_ms)
    for record in answered:
        joins.take(decode_prediction(record.value))
    for arm in (CHAMPION, CHALLENGER):
        mine = [s for s in joins.sessions.values() if s.arm == arm]
        ranks = list(itertools.chain.from_iterable(s.ranks for s in mine))
        slates, asked, hit = (
            half_way[f'session_rec_experiment_{what}_total{{arm="{arm}"}}']
            for what in ("slates", "clicks_asked", "clicks_hit")
        )
        assert sum(s.slates for s in mine) == slates
        assert (len(ranks), sum(r > 0 for r in ranks)) == (asked, hit)
        assert asked > 20
    assert metrics["session_rec_experiment_errors_total"] == 0
    assert metrics["session_rec_experiment_running"] == 1
    assert accounted(metrics)["emitted"] == 2 * third

    # The verdict, and the hit rates against the clicks themselves.
    told = tmp_path / "told.json"
    result = run(stage, with_it, "--window", "40", "--k", "1", "--k", "4", "--json", str(told))
    assert result.exit_code == 0, result.output
    assert "challenger ahead: hr@4 +" in result.output
    report = json.loads(told.read_text())
    assert report["verdict"] == "ahead" and report["primary"] == f"hr@{K}"
    newest = max(e[2] for e in events) - LATENESS_MS - 40_000
    sessions: dict[str, list[dict]] = {}
    for message in found.values():
        sessions.setdefault(message["session_id"], []).append(message)
    item = {f"{r.topic}-{r.partition}-{r.offset}": json.loads(r.value)["item_id"] for r in records}
    for arm in (CHAMPION, CHALLENGER):
        figures = report["arms"][arm]
        rates, slates = [], 0
        for name, mine in sessions.items():
            mine.sort(key=lambda m: m["ts"])
            if ARMS.of(name) == arm and mine[0]["ts"] <= newest:
                slates += len(mine)
                hits = [item[b["id"]] in a["items"] for a, b in itertools.pairwise(mine)]
                rates += [np.mean(hits)] if hits else []
        assert figures["slates"] == slates and figures["compared"] == len(rates)
        assert figures["metrics"]["hr@4"] == pytest.approx(np.mean(rates))
        assert figures["joined"] + sum(figures["not_joined"].values()) == slates
        assert figures["open"] > 0
    assert report["arms"][CHALLENGER]["metrics"]["hr@4"] > 0.6
    assert report["left_out"] == {"erased": 0, "both arms": 0, "repeated predictions": 0,
                                  "predictions of another partition": 0}  # fmt: skip
    assert report["warnings"] == []

    # The same from files, without a cluster.
    files = {name: tmp_path / f"{name}.jsonl" for name in ("events", "predictions")}
    for name, topic in (("events", stage.events), ("predictions", stage.predictions)):
        as_kcat_writes_them(stage.read(topic), files[name])
    filed = tmp_path / "filed.json"
    options = ["--window", "40", "--k", "1", "--k", "4", "--json", str(filed)]
    for name, path in files.items():
        options += [f"--{name}-file", str(path)]
    result = run(stage, {**with_it, "kafka.bootstrap_servers": "127.0.0.1:9"}, *options)
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert json.loads(filed.read_text()) == report

    # Another name has nothing to show.
    result = run(stage, {**with_it, "experiment.name": "spring"})
    assert "none of experiment 'spring'" in str(result.exception)


def test_files_that_hold_no_records_are_told(tmp_path: Path) -> None:
    good = '{"topic": "t", "partition": 0, "offset": 4, "ts": 5, "key": "k", "payload": null}'
    for text, words in (
        (good + "\n{", "line 2 is no record"),
        (good.replace('"offset": 4, ', ""), "line 1 is no record as kcat -J writes it"),
        (good + "\n" + good, "line 2: offset 4 of t-0 comes after 4"),
    ):
        path = tmp_path / "records.jsonl"
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            list(RecordFile(path).read())
    path.write_text(good)
    steps: list[int] = []
    (record,) = RecordFile(path).read(steps.append)
    assert (record.topic, record.partition, record.offset, record.timestamp) == ("t", 0, 4, 5)
    assert (record.key, record.value) == (b"k", None)
    assert sum(steps) == RecordFile(path).records == len(good)
    with pytest.raises(DataError, match="is no file"):
        RecordFile(tmp_path / "none")


def test_what_cannot_be_looked_at_is_one_sentence(embedded_broker: Broker, tmp_path: Path) -> None:
    stage = Stage(embedded_broker, tmp_path / "nowhere")
    some = {"experiment.name": "steps", "experiment.challenger": "x"}
    for more, options, words in (
        ({}, [], "there is no \\[experiment\\] to look at"),
        (some, ["--k", "5"], "slates have 4 items"),
        (some, ["--events-file", "e"], "give both or neither"),
        (some, [], "holds 0 records and none of experiment 'steps'"),
        ({**some, "topics.predictions": "none"}, [], "topic 'none' does not exist"),
        ({**some, "experiment.share": 1}, [], "experiment.share"),
        ({**some, "experiment.challeger": "y"}, [], "nearest known one is 'challenger'"),
        ({"experiment.name": "steps"}, [], "experiment.challenger"),
    ):
        result = run(stage, more, *options)
        with pytest.raises(Exception, match=words) as told:
            raise result.exception
        assert type(told.value).__name__ in ("ConfigError", "DataError", "UserError")
