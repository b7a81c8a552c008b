"""A header's name may be any bytes: a record of such must not end the poll that meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from broker_fixtures import Broker
from kafka import KafkaProducer
from kafka.structs import TopicPartition
from stream_support import Stage

from session_rec.config import parse_config
from streaming.config import KafkaSettings
from streaming.kafka_clients import make_reader


class Name(str):
    """A header name that goes over the wire as bytes that are no UTF-8."""

    def encode(self, *_: object) -> bytes:  # type: ignore[override]
        return b"tr\xffce"


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_header_name_that_is_no_text_is_read_escaped(
    broker: Broker, tmp_path: Path, compression: str | None
) -> None:
    stage = Stage(broker, tmp_path, partitions=1)
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap_servers, linger_ms=200, compression_type=compression
    )
    headers = [[("a", b"1")], [("a", b"1"), (Name("x"), b"\xff\x00")], [], [(Name("x"), b"")]]
    for n, found in enumerate(headers):
        producer.send(stage.events, key=b"k%d" % n, value=b"v\xff%d" % n, headers=found)
    producer.flush()
    producer.close()
    settings = {"bootstrap_servers": broker.bootstrap_servers}
    reader = make_reader(parse_config(settings, KafkaSettings, "test"))
    tp = TopicPartition(stage.events, 0)
    reader.assign([tp])
    reader.seek(tp, 0)
    got: list[tuple[object, ...]] = []
    while reader.position(tp) < len(headers):
        for batch in reader.poll(timeout_ms=200).values():
            got += [(r.offset, r.key, r.value, list(r.headers)) for r in batch]
    reader.close()
    assert got == [
        (0, b"k0", b"v\xff0", [("a", b"1")]),
        (1, b"k1", b"v\xff1", [("a", b"1"), ("tr\\xffce", b"\xff\x00")]),
        (2, b"k2", b"v\xff2", []),
        (3, b"k3", b"v\xff3", [("tr\\xffce", b"")]),
    ]
    assert all(type(part) is bytes for row in got for part in row[1:3])
