"""What only the embedded broker has: its start and stop, its bounds, its command line."""

from __future__ import annotations

import gc
import signal
import socket
import subprocess
import sys
import time

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors

from session_rec.errors import UserError
from streaming.embedded_broker import EmbeddedBroker

COMMAND = [sys.executable, "-m", "streaming.embedded_broker"]


def test_it_starts_with_topics_and_leaves_nothing_behind():
    with EmbeddedBroker(topics={"events": 4}) as broker:
        host, port = broker.bootstrap_servers.split(":")
        assert host == "127.0.0.1"
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
        assert consumer.partitions_for_topic("events") == {0, 1, 2, 3}
        broker.create_topic("more", 2, {"retention.ms": "1000"})
        assert consumer.topics() == {"events", "more"}
        consumer.close()
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}"):
            EmbeddedBroker(port=int(port)).start()
    with EmbeddedBroker(port=int(port)) as again:  # the port is free at once
        assert again.bootstrap_servers == f"127.0.0.1:{port}"
    again.stop()  # a second time does nothing


def test_connections_that_come_while_it_stops_are_not_left_to_the_garbage_collector(monkeypatch):
    left = []
    monkeypatch.setattr(sys, "unraisablehook", left.append)
    for _ in range(10):
        with EmbeddedBroker() as broker:
            host, port = broker.bootstrap_servers.split(":")
            connections = [socket.create_connection((host, int(port))) for _ in range(10)]
        for connection in connections:
            connection.close()
    gc.collect()
    assert not left


def test_a_topic_that_cannot_be_stops_the_start():
    with pytest.raises(kafka_errors.InvalidPartitionsError):
        EmbeddedBroker(topics={"events": 0}).start()


def test_it_creates_topics_by_itself_only_when_told():
    with EmbeddedBroker(auto_create_topics=True) as broker:
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
        assert producer.send("fresh", value=b"x").get(10).offset == 0
        producer.close()


def test_retention_bounds_a_partition():
    with EmbeddedBroker(topics={"events": 1}, retention_bytes=10_000) as broker:
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
        for _ in range(100):
            producer.send("events", value=b"x" * 1000).get(10)
        producer.close()
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
        partition = TopicPartition("events", 0)
        # Batches of a little more than 1,000 bytes: ten of them are just over the bound.
        assert consumer.beginning_offsets([partition]) == {partition: 90}
        assert consumer.end_offsets([partition]) == {partition: 100}
        consumer.close()


def test_old_records_go_after_their_time():
    with EmbeddedBroker(retention_check_ms=50) as broker:
        broker.create_topic("events", 1, {"retention.ms": "60000"})
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
        now = int(time.time() * 1000)
        producer.send("events", value=b"old", timestamp_ms=now - 61_000).get(10)
        producer.send("events", value=b"new", timestamp_ms=now).get(10)
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
        partition = TopicPartition("events", 0)
        assert consumer.beginning_offsets([partition]) == {partition: 1}
        for client in (producer, consumer, admin):
            client.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_as_a_process_it_says_when_it_is_ready_and_stops_when_asked(number):
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--topic", "events:4", "--topic", "predictions"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("embedded broker ready on 127.0.0.1:")
        consumer = KafkaConsumer(bootstrap_servers=line.split()[-1])
        assert consumer.partitions_for_topic("events") == {0, 1, 2, 3}
        assert consumer.partitions_for_topic("predictions") == {0}
        process.send_signal(number)  # with a client still connected
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, output, errors) == (0, "", "")
        consumer.close()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--topic", "events:0"], "error: topic 'events' cannot be created"),
        (["--topic", "not a name:1"], "error: topic 'not a name' cannot be created"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(options, message):
    done = subprocess.run([*COMMAND, "--port", "0", *options], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_with_a_parent_it_ends_when_that_does_and_leaves_ctrl_c_to_it():
    with subprocess.Popen(
        [*COMMAND, "--port", "0", "--with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        consumer = KafkaConsumer(bootstrap_servers=line.split()[-1])
        assert consumer.topics() == set()
        consumer.close()
        process.stdin.close()
        assert process.wait(20) == 0
