"""The daemon end to end, in a process of its own."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import jsonschema
import pytest
from broker_fixtures import Broker
from stream_support import Stage, accounted, click, expected_slates, toy_bundle, toy_events

NOW = 1_700_000_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("models") / "toy")


def test_live_predictions_equal_the_recommender_on_prefixes(broker: Broker, model: Path) -> None:
    stage = Stage(broker, model)
    events = toy_events(seed=1)
    stage.produce(events)
    with stage.daemon() as daemon:
        stage.wait_committed(len(events))
        metrics = daemon.metrics()
        assert daemon.stop() == 0, daemon.log
    records = stage.read(stage.events)
    want = expected_slates(records, model)
    assert stage.slates() == want
    assert len(stage.read(stage.predictions)) == len(want)
    terms = accounted(metrics)
    assert terms["emitted"] == len(want)
    assert terms["tombstones"] == sum(r.value is None for r in records)
    assert terms["late"] > 0 and terms["duplicates"] > 0 and terms["dead_lettered"] == 0
    assert sum(terms.values()) == len(events)
    disordered = sum(not w["in_order"] for w in want.values())
    assert metrics["session_rec_out_of_order_total"] == disordered > 0
    assert sum(v for k, v in metrics.items() if k.startswith("session_rec_lag_records")) == 0
    schema = json.loads(Path("docs/schemas/prediction.schema.json").read_text())
    for record in stage.read(stage.predictions):
        jsonschema.validate(json.loads(record.value), schema)


def test_after_sigkills_the_first_of_each_id_is_an_undisturbed_run(
    broker: Broker, model: Path
) -> None:
    stage = Stage(broker, model)
    events = toy_events(seed=2, events=1500)
    stage.produce(events[:400])
    quiet = {"max_poll_records": 20, "http": False}
    for goal in (100, 350, 700):
        with stage.daemon(**quiet) as daemon:
            stage.wait_committed(goal)
            daemon.kill()
        if goal == 350:
            stage.produce(events[400:])
    with stage.daemon(**quiet) as daemon:
        stage.wait_committed(len(events))
        assert "contexts rebuilt from" in daemon.log
        assert daemon.stop() == 0, daemon.log
    disturbed = stage.slates()
    records = stage.read(stage.events)
    assert disturbed == expected_slates(records, model)

    stage.fresh_outputs()
    with stage.daemon() as daemon:
        stage.wait_committed(len(events))
        assert daemon.stop() == 0
    assert disturbed == stage.slates()


def test_what_cannot_be_used_is_kept_aside_and_changes_no_other_prediction(
    broker: Broker, model: Path
) -> None:
    large = b'{"session_id": "s1", "item_id": "' + b"x" * 60_000 + b'"}'
    bad = [
        (b"s1", b"", NOW + 1),
        (b"s1", b"{not json", NOW + 1),
        (b"s1", b"\xff\xfe", NOW + 1),
        (None, click("s1", "i01", NOW)[1], NOW + 1),
        (b"s1", b'{"session_id": "s1", "ts": 1}', NOW + 1),
        click("s1", "i05", 4_000_000_000_000, NOW + 1),
        (b"s1", large, NOW + 1),
    ]
    good = [
        click("s1", "i01", NOW),
        click("s1", "i02", NOW + 1000),
        click("s2", "i03", NOW + 2000),
        click("s1", "unheard-of", NOW + 3000),
        click("s3", "unheard-of", NOW + 4000),
        click("s1", "i04", NOW + 5000),
    ]
    stage = Stage(broker, model, partitions=1, dead_letter_configs={"max.message.bytes": "20000"})
    stage.produce(good[:2])
    stage.produce(bad, headers=[("trace", b"abc")])
    stage.produce(good[2:])
    total = len(good) + len(bad)
    with stage.daemon() as daemon:
        stage.wait_committed(total)
        metrics = daemon.metrics()
        assert daemon.stop() == 0, daemon.log
    records = stage.read(stage.events)
    want = expected_slates([r for r in records if r.offset < 2 or r.offset >= 9], model)
    assert stage.slates() == want and len(want) == len(good)
    assert [w["fallback"] for w in want.values()].count(True) == 1
    terms = accounted(metrics)
    assert (terms["emitted"], terms["dead_lettered"]) == (len(good), len(bad))
    assert metrics["session_rec_unknown_items_total"] == 2

    letters = stage.read(stage.dead_letters)
    assert len(letters) == len(bad)
    headers = [dict(letter.headers) for letter in letters]
    for n, (letter, found, (key, value, _)) in enumerate(zip(letters, headers, bad, strict=True)):
        assert letter.key == key
        assert found["session-rec.offset"] == str(2 + n).encode()
        assert found["session-rec.topic"] == stage.events.encode()
        assert found["session-rec.reason"] and found["trace"] == b"abc"
        if value is not large:
            assert letter.value == value and "session-rec.truncated" not in found
    assert large.startswith(letters[-1].value) and len(letters[-1].value) > 15_000
    assert headers[-1]["session-rec.truncated"] == str(len(large)).encode()
    assert b"after the record" in headers[5]["session-rec.reason"]


def test_sigterm_commits_everything_and_the_next_start_repeats_nothing(
    broker: Broker, model: Path
) -> None:
    stage = Stage(broker, model, partitions=1)
    stage.produce(toy_events(seed=4, events=60))
    total = len(stage.read(stage.events))
    with stage.daemon() as daemon:
        stage.wait_committed(total)
        assert daemon.stop() == 0, daemon.log
        assert "stopped after" in daemon.log
    before = stage.read(stage.predictions)
    more = [click("s1", f"i0{n}", NOW + 10_000_000 + n) for n in range(5)]
    with stage.daemon() as daemon:
        stage.produce(more)
        stage.wait_committed(total + len(more))
        daemon.popen.send_signal(signal.SIGINT)
        assert daemon.wait() == 0
    after = stage.read(stage.predictions)
    assert len(after) == len(before) + len(more)
    assert stage.slates() == expected_slates(stage.read(stage.events), model)


def test_latest_starts_at_the_end_with_the_contexts_of_live_sessions(
    broker: Broker, model: Path
) -> None:
    stage = Stage(broker, model, partitions=1)
    before = [click("s1", f"i0{n}", NOW + n * 1000) for n in range(4)]
    stage.produce(before)
    with stage.daemon(start="latest") as daemon:
        daemon.wait_log("emitting from offset 4, contexts rebuilt from 0")
        stage.produce([click("s1", "i07", NOW + 5000)])
        stage.wait_committed(5)
        assert daemon.stop() == 0
    want = expected_slates(stage.read(stage.events), model)
    last = f"{stage.events}-0-4"
    assert stage.slates() == {last: want[last]}


def test_two_daemons_share_the_partitions_and_hand_them_over(broker: Broker, model: Path) -> None:
    stage = Stage(broker, model, partitions=4)
    events = toy_events(seed=5, sessions=40, events=900)
    third = len(events) // 3
    with stage.daemon(group_instance_id=None) as one:
        stage.produce(events[:third])
        stage.wait_committed(third)
        with stage.daemon(group_instance_id=None) as two:
            two.wait_log("assigned: \\[.+\\]")
            one.wait_log("revoked: \\[.+\\]")
            stage.produce(events[third : 2 * third])
            stage.wait_committed(2 * third)
            one.popen.terminate()
            stage.produce(events[2 * third :])
            stage.wait_committed(len(events))
            assert one.wait() == 0, one.log
            assert two.stop() == 0, two.log
    assert stage.slates() == expected_slates(stage.read(stage.events), model)
