"""Producers compress as they like: every codec is read, or the daemon says which it cannot."""

from __future__ import annotations

import os
from pathlib import Path

from broker_fixtures import Broker
from confluent_kafka import Producer
from stream_support import Raw, Stage, click, expected_slates, toy_bundle

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
NOW = 1_700_000_000_000


def produce(stage: Stage, codec: str, events: list[Raw]) -> None:
    """As other people's clients do it: one compressed batch."""
    producer = Producer(
        {
            "bootstrap.servers": stage.broker.bootstrap_servers,
            "compression.type": codec,
            "linger.ms": 100,
        }
    )
    for key, value, timestamp in events:
        producer.produce(stage.events, value, key, partition=0, timestamp=timestamp)
    assert producer.flush(20) == 0


def test_every_codec_is_read(broker: Broker, tmp_path: Path) -> None:
    stage = Stage(broker, toy_bundle(tmp_path / "model"), partitions=1)
    for n, codec in enumerate(CODECS):
        produce(stage, codec, [click(f"s{i}", f"i{n:02d}", NOW + 10 * n + i) for i in range(9)])
    with stage.daemon() as daemon:
        stage.wait_committed(9 * len(CODECS))
        assert daemon.stop() == 0, daemon.log
    slates = stage.slates()
    assert len(slates) == 9 * len(CODECS)
    assert slates == expected_slates(stage.read(stage.events), stage.model)


def test_a_library_that_is_missing_is_named_and_nothing_passed_over(
    embedded_broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "zstandard.py").write_text("raise ImportError('hidden by a test')")
    path = os.pathsep.join([str(tmp_path / "hidden"), os.environ.get("PYTHONPATH", "")])
    stage = Stage(embedded_broker, toy_bundle(tmp_path / "model"), partitions=1)
    stage.produce([click("s1", "i01", NOW)])
    produce(stage, "zstd", [click("s1", "i02", NOW + 1), click("s1", "i03", NOW + 2)])
    with stage.daemon(env={"PYTHONPATH": path}) as daemon:
        assert daemon.wait() == 2, daemon.log
    assert f"'{stage.events}'" in daemon.lines[-1] and "zstd" in daemon.lines[-1]
    assert "pip install" in daemon.lines[-1] and "Traceback" not in daemon.log
    assert stage.committed() <= 1

    with stage.daemon() as daemon:
        stage.wait_committed(3)
        assert daemon.stop() == 0, daemon.log
    assert stage.slates() == expected_slates(stage.read(stage.events), stage.model)
