"""A header whose value is null is written as one, by a client that only reads such."""

from __future__ import annotations

import time
from pathlib import Path

from broker_fixtures import Broker
from kafka.errors import UnknownError
from stream_support import Stage

from session_rec.config import parse_config
from streaming.config import KafkaSettings
from streaming.kafka_clients import make_producer


def test_a_null_header_survives_a_batch_that_is_sent_in_pieces(
    broker: Broker, tmp_path: Path
) -> None:
    """The client reads back what its topic refused as too large, and writes it in pieces."""
    topic = broker.topic(1, {"max.message.bytes": "3000"})
    stage = Stage(broker, tmp_path / "no-model", partitions=1)
    settings = {"bootstrap_servers": broker.bootstrap_servers}
    producer = make_producer(
        parse_config(settings, KafkaSettings, "test"), linger_ms=2000, batch_size=100_000
    )
    for n in range(6):
        producer.send(topic, b"v" * 1000, headers=[("null", None), ("n", b"%d" % n)], partition=0)
    while True:
        try:
            producer.flush()
            break
        except UnknownError:  # that its pieces are not there yet
            time.sleep(0.01)
    producer.close()
    found = stage.read(topic)
    assert [r.headers for r in found] == [[("null", None), ("n", b"%d" % n)] for n in range(6)]
