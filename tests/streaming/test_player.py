"""Recorded sessions come back in time order, each event when it is due."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from broker_fixtures import Broker
from kafka import KafkaProducer
from stream_support import Stage, toy_bundle
from typer.testing import CliRunner

from session_rec.cli import build_app
from session_rec.errors import UserError
from session_rec.event_log import SessionLog
from session_rec.events import Event, decode_event
from session_rec.schedule import schedule
from streaming.player import messages, play

NOW = 1_700_000_000_000


def log(rows: list[tuple[str, str, int]]) -> SessionLog:
    sessions = tuple(dict.fromkeys(r[0] for r in rows))
    items = tuple(dict.fromkeys(r[1] for r in rows))
    return SessionLog(
        sessions,
        np.array([sessions.index(r[0]) for r in rows]),
        items,
        np.array([items.index(r[1]) for r in rows], np.int32),
        np.array([NOW + r[2] for r in rows]),
        ("view", "cart"),
        np.array([len(r[1]) % 2 for r in rows], np.int16),
        np.full(len(rows), -1),
        {"device": np.array(["phone" if r[0] == "a" else None for r in rows], object)},
    )


ROWS = [("a", "x", 0), ("a", "yy", 300), ("a", "z", 200), ("b", "x", 100), ("b", "y", 300)]


def test_messages_are_events_with_their_features_and_types() -> None:
    order = schedule(log(ROWS), None).order
    key, value = messages(log(ROWS), order, shift_ms=5)[0]
    assert key == b"a"
    assert decode_event(value) == Event("a", "x", NOW + 5, "cart", None, {"device": "phone"})


def test_every_event_arrives_with_its_time(broker: Broker, tmp_path: Path) -> None:
    stage = Stage(broker, tmp_path, partitions=2)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    seen: list[int] = []
    begin = time.monotonic()
    played = play(log(ROWS), producer, stage.events, schedule(log(ROWS), 0.5), progress=seen.append)
    took = time.monotonic() - begin
    producer.close()
    assert took >= 0.6 and seen[-1] == 5
    assert np.round(np.diff(played.scheduled), 3).tolist() == [0.2, 0.4, 0, 0]
    records = {f"{r.topic}-{r.partition}-{r.offset}": r for r in stage.read(stage.events)}
    assert list(records.keys() ^ set(played.ids)) == []
    for id_, index in zip(played.ids, played.order, strict=True):
        record, (session, item, ts) = records[id_], ROWS[index]
        message = json.loads(record.value)
        assert (record.key.decode(), message["session_id"]) == (session, session)
        assert (message["item_id"], message["ts"], record.timestamp) == (item, NOW + ts, NOW + ts)


def test_the_command_plays_a_file(broker: Broker, tmp_path: Path) -> None:
    import duckdb

    file = tmp_path / "test.parquet"
    duckdb.execute(
        "COPY (SELECT 's' || (i // 5) AS session_id, i % 7 AS item_id, "
        f"{NOW} + i * 10 AS ts FROM range(40) t(i)) TO '{file}' (FORMAT parquet)"
    )
    stage = Stage(broker, tmp_path)
    arguments = [
        "play",
        "--sessions",
        str(file),
        "--topic",
        stage.events,
        "--bootstrap-servers",
        broker.bootstrap_servers,
        "--shift-to-now",
    ]
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 0, result.output
    records = stage.read(stage.events)
    assert len(records) == 40
    assert abs(min(r.timestamp for r in records) - time.time() * 1000) < 60_000
    missing = CliRunner().invoke(
        build_app(), [*arguments[:3], "--topic", "no-such-topic", *arguments[5:]]
    )
    assert isinstance(missing.exception, UserError)


def test_the_configuration_of_the_daemon_serves_the_player(tmp_path: Path) -> None:
    from session_rec.config import load_config
    from streaming.config import PlayConfig, StreamConfig

    file = Path(__file__).resolve().parents[2] / "configs" / "stream.toml"
    assert load_config(file, PlayConfig).topics == load_config(file, StreamConfig).topics


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "inf", "nan"])
def test_a_speed_that_is_none(speed: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        build_app(), ["play", "--sessions", str(tmp_path / "x"), "--speed", speed]
    )
    assert isinstance(result.exception, UserError)


def test_played_sessions_get_the_predictions_of_the_recommender(
    broker: Broker, tmp_path: Path
) -> None:
    from stream_support import expected_slates

    model = toy_bundle(tmp_path / "toy")
    stage = Stage(broker, model)
    rng = np.random.default_rng(5)
    rows = [
        (f"s{s}", f"i{rng.integers(12):02d}", int(t))
        for s in range(30)
        for t in np.sort(rng.integers(0, 400_000, rng.integers(1, 9)))
    ]
    with stage.daemon() as daemon:
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
        played = play(log(rows), producer, stage.events, schedule(log(rows), None))
        producer.close()
        stage.wait_committed(len(rows))
        assert daemon.stop() == 0
    want = expected_slates(stage.read(stage.events), model)
    assert stage.slates() == want
    assert set(want) <= set(played.ids)
