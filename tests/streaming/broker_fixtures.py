"""Brokers for tests: the embedded one, and a real Apache Kafka wherever there is one.

A test that takes `broker` runs on both where brokers are what is tested, in `tests/contracts` and
`tests/parity`; those of the daemon run on one of them, and on the other in `make soak`. The real
broker is the one that KAFKA_BOOTSTRAP_SERVERS names; else one is started from `../shared/kafka`
beside the repository, where that and Java are there; else the test is skipped, or fails where
SESSION_REC_REQUIRE_KAFKA=1 asks for it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import NewTopic, OffsetSpec
from kafka.errors import KafkaError

from streaming.embedded_broker import EmbeddedBroker

_REPOSITORY = Path(__file__).resolve().parents[2]
APACHE_START = _REPOSITORY.parent / "shared" / "kafka" / "broker"
_READY_LINE = "Kafka Server started"
_START_TIMEOUT_S = 120  # 3 s on an idle machine
_STOP_TIMEOUT_S = 30
# Shorter than by default, so that tests of failing members and producers need not wait.
_MIN_SESSION_TIMEOUT_MS = 500
_APACHE_OVERRIDES = {
    "group.min.session.timeout.ms": str(_MIN_SESSION_TIMEOUT_MS),
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    # Looks for what has expired at once and often, not after 30 s and every 5 minutes.
    "log.retention.check.interval.ms": "200",
    "log.initial.task.delay.ms": "100",
}
_APACHE = pytest.StashKey["Broker"]()
SCRAM_USER, SCRAM_PASSWORD = "shop", "shop-secret"  # what the start script creates


@dataclass
class Broker:
    """A broker that a test may use; `security` holds client settings of kafka-python.

    `min_session_timeout_ms` is the shortest that a group member may ask for: 6000 on a cluster
    with default settings, less on the brokers that are started here; so is `expires_at_once`,
    whether what has expired is removed within a second.
    """

    name: str
    bootstrap_servers: str
    security: dict[str, Any] = field(default_factory=dict)
    min_session_timeout_ms: int = _MIN_SESSION_TIMEOUT_MS
    expires_at_once: bool = True
    _admin: KafkaAdminClient | None = None
    _topics: list[str] = field(default_factory=list)

    @property
    def admin(self) -> KafkaAdminClient:
        """A client for administration, shared by all who ask."""
        if self._admin is None:
            self._admin = KafkaAdminClient(
                bootstrap_servers=self.bootstrap_servers, **self.security
            )
        return self._admin

    def topic(
        self,
        partitions: int = 1,
        configs: Mapping[str, str] | None = None,
        prefix: str = "topic",
    ) -> str:
        """Creates a topic that nobody else uses and returns its name once it is ready."""
        name = unique(prefix)
        self._topics.append(name)
        self.admin.create_topics(
            [
                NewTopic(
                    name=name,
                    num_partitions=partitions,
                    replication_factor=1,
                    topic_configs=dict(configs or {}),
                )
            ]
        )
        self.wait_until_led(name, partitions)
        return name

    def wait_until_led(self, topic: str, partitions: int) -> None:
        """Returns once the partitions can be read: a real broker announces a topic before that."""
        ends = {TopicPartition(topic, index): OffsetSpec.LATEST for index in range(partitions)}
        deadline = time.monotonic() + 10
        while True:
            try:
                self.admin.list_partition_offsets(ends)
                return
            except KafkaError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def delete_topics(self) -> None:
        """Deletes what `topic` created: on a cluster that stays, tests leave nothing behind."""
        if self._topics:
            self.admin.delete_topics(self._topics, raise_errors=False)
            self._topics.clear()

    def close(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None


def unique(prefix: str) -> str:
    """A name for a topic, group or transactional id that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@contextlib.contextmanager
def apache_broker_started(
    directory: Path, mode: str = "plaintext", overrides: Mapping[str, str] | None = None
) -> Iterator[Broker]:
    """A real broker of its own, stopped at the end; skips where there is none to start.

    `mode` is plaintext, tls, scram or scram-tls. The test is skipped where Apache Kafka or Java
    is missing, and fails where SESSION_REC_REQUIRE_KAFKA=1 says that it must be there.
    """
    need_apache()
    directory.mkdir(parents=True, exist_ok=True)
    port = free_ports(3)
    log = directory / "broker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(APACHE_START), str(port), str(directory), mode],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=apache_environment(overrides),
        )
    broker = Broker("apache", f"127.0.0.1:{port}", _security(mode, directory))
    try:
        wait_until_ready(process, log)
        yield broker
    finally:
        broker.close()
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def need_apache() -> None:
    """Skips the test, or fails it, where there is no broker to start."""
    for what, present in ((APACHE_START, APACHE_START.exists()), ("java", shutil.which("java"))):
        if not present:
            missing_kafka(f"no Apache Kafka to start: {what} is not there")


def apache_environment(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that the start script reads its settings from."""
    settings = _APACHE_OVERRIDES | dict(overrides or {})
    return (
        {"BROKER_TIER": "1", "BROKER_HEAP": "256m"}
        | os.environ
        | {"BROKER_OVERRIDES": "\n".join(f"{k}={v}" for k, v in settings.items())}
    )


def _security(mode: str, directory: Path) -> dict[str, Any]:
    security: dict[str, Any] = {}
    if "scram" in mode:
        security |= {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": SCRAM_USER,
            "sasl_plain_password": SCRAM_PASSWORD,
        }
    if "tls" in mode:
        security["security_protocol"] = "SASL_SSL" if "scram" in mode else "SSL"
        security["ssl_cafile"] = str(directory / "ca.pem")
    return security


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nothing listens on."""
    for _ in range(100):
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                for offset in range(1, count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            except (OSError, OverflowError):
                continue
            return port
    raise AssertionError(f"no {count} free ports in a row")


def wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns once the broker says so in its log."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while _READY_LINE not in log.read_text(errors="replace"):
        running = process.poll() is None
        if not running or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            state = f"not ready after {_START_TIMEOUT_S} s" if running else "it ended"
            pytest.fail(f"Apache Kafka did not start ({state}):\n{tail}")
        time.sleep(0.1)


def missing_kafka(reason: str) -> NoReturn:
    """Skips the test, or fails it where SESSION_REC_REQUIRE_KAFKA=1."""
    if os.environ.get("SESSION_REC_REQUIRE_KAFKA") == "1":
        pytest.fail(f"SESSION_REC_REQUIRE_KAFKA=1, but {reason}")
    pytest.skip(f"{reason}; set KAFKA_BOOTSTRAP_SERVERS to run it on a broker of yours")


@pytest.fixture
def embedded_broker() -> Iterator[Broker]:
    """A fresh embedded broker."""
    settings = {"min_session_timeout_ms": _MIN_SESSION_TIMEOUT_MS, "retention_check_ms": 200}
    with EmbeddedBroker(**settings) as running:
        broker = Broker("embedded", running.bootstrap_servers)
        yield broker
        broker.close()


@pytest.fixture(scope="session")
def apache_broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Broker:
    """A real Apache Kafka, one for the whole session.

    It is the configuration's, not the fixture's: each folder that imports the fixture has one of
    its own, and a broker takes seconds to start.
    """
    config = request.config
    if _APACHE not in config.stash:
        stack = contextlib.ExitStack()
        config.add_cleanup(stack.close)
        config.stash[_APACHE] = stack.enter_context(_apache(tmp_path_factory.mktemp("kafka")))
    return config.stash[_APACHE]


@contextlib.contextmanager
def _apache(directory: Path) -> Iterator[Broker]:
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        with apache_broker_started(directory) as broker:
            yield broker
        return
    broker = Broker("apache", servers, min_session_timeout_ms=6_000, expires_at_once=False)
    yield broker
    broker.delete_topics()
    broker.close()


@pytest.fixture(params=["embedded", "apache"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Both brokers, one after the other: what holds on one must hold on the other."""
    found: Broker = request.getfixturevalue(f"{request.param}_broker")
    return found


@pytest.fixture
def some_broker(request: pytest.FixtureRequest) -> Broker:
    """The real broker where there is one, else the embedded one."""
    return _either(request, real=True)


@pytest.fixture(params=["usual", pytest.param("other", marks=pytest.mark.soak)])
def one_broker(request: pytest.FixtureRequest) -> Broker:
    """The broker of `some_broker`; in `make soak` the other one as well."""
    return _either(request, real=request.param == "usual")


def _either(request: pytest.FixtureRequest, real: bool) -> Broker:
    there = APACHE_START.exists() or "KAFKA_BOOTSTRAP_SERVERS" in os.environ
    found: Broker = request.getfixturevalue("apache_broker" if real == there else "embedded_broker")
    return found
