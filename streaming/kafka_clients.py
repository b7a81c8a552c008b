"""Kafka clients as we set them, and the real reason where one cannot be had."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from session_rec.errors import UserError
from streaming.config import KafkaSettings, StreamConfig
from streaming.header_names import accept_any_header_name
from streaming.null_headers import NullableProducer
from streaming.tls_files import certificate_refused, check_tls_files

log = logging.getLogger(__name__)

C = TypeVar("C")

accept_any_header_name()

#: Milliseconds that one attempt to reach the cluster may take; a refusal that will not go away,
#: such as a wrong password, ends the attempts after the first.
_ATTEMPT_MS = 2500

#: The largest record that our producers send, bytes; the client's own default, said here because
#: dead letters are cut to it.
MAX_REQUEST_BYTES = 1_048_576

_AGAIN_S = 0.5  #: between two tries

#: Why a commit is refused where the group has other members, or a newer generation, by now.
GROUP_MOVED_ON = (
    CommitFailedError,
    IllegalGenerationError,
    UnknownMemberIdError,
    RebalanceInProgressError,
)


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Connection settings in kafka-python's words.

    Raises:
        ConfigError: the password cannot be had.
        UserError: a file for TLS cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "security_protocol": kafka.security_protocol,
        "client_id": "session-rec",
    }
    if kafka.security_protocol.startswith("SASL_"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.password(),
        }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_check_hostname"] = kafka.ssl_check_hostname
        check_tls_files(kafka.ssl_cafile, kafka.ssl_certfile, kafka.ssl_keyfile)
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            path = getattr(kafka, name)
            if path is not None:
                options[name] = str(path)
    return options


def patiently(ask: Callable[[float], C], timeout_s: float) -> C:
    """What ``ask`` returns, given the milliseconds that are left; asked again while the cluster is
    away, for ``timeout_s``.

    Raises:
        KafkaError: what went wrong at last, or what does not go away.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ask(max(deadline - time.monotonic(), 0.1) * 1000)
        except KafkaError as e:
            if isinstance(e, GROUP_MOVED_ON) or not e.retriable or time.monotonic() >= deadline:
                raise
            log.warning("asking again: %s", e)
            time.sleep(_AGAIN_S)


def make_admin(kafka: KafkaSettings) -> KafkaAdminClient:
    """An admin client. Raises :class:`UserError` with the reason if there is no connection."""
    return _connect(KafkaAdminClient, kafka, client_options(kafka))


def make_consumer(config: StreamConfig) -> KafkaConsumer:
    """The daemon's consumer: it commits only what it is told to, and never resets by itself."""
    session_ms = round(config.kafka.session_timeout_s * 1000)
    return _connect(
        KafkaConsumer,
        config.kafka,
        client_options(config.kafka)
        | {
            "group_id": config.group_id,
            "group_instance_id": config.group_instance_id,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "partition_assignment_strategy": [CooperativeStickyAssignor],
            "session_timeout_ms": session_ms,
            "heartbeat_interval_ms": min(3000, session_ms // 3),
            "max_poll_records": config.max_poll_records,
            # A round may wait for an absent cluster twice, and stays a member meanwhile.
            "max_poll_interval_ms": max(300_000, round(config.delivery_timeout_s * 2000) + 60_000),
            "allow_auto_create_topics": False,
        },
    )


def make_reader(kafka: KafkaSettings) -> KafkaConsumer:
    """A consumer outside of any group, for looking into partitions by hand."""
    return _connect(
        KafkaConsumer,
        kafka,
        client_options(kafka)
        | {
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "allow_auto_create_topics": False,
        },
    )


def make_producer(kafka: KafkaSettings, **options: Any) -> NullableProducer:
    """An idempotent producer that waits for all replicas."""
    return _connect(
        NullableProducer,
        kafka,
        client_options(kafka)
        | {
            "enable_idempotence": True,
            "acks": "all",
            "linger_ms": 0,
            "max_request_size": MAX_REQUEST_BYTES,
            "allow_auto_create_topics": False,
        }
        | options,
    )


def _connect(make: Callable[..., C], kafka: KafkaSettings, options: dict[str, Any]) -> C:
    deadline = time.monotonic() + kafka.connect_timeout_s
    with _Watch() as watch:
        while True:
            left_ms = max(int((deadline - time.monotonic()) * 1000), 200)
            try:
                return make(bootstrap_timeout_ms=min(_ATTEMPT_MS, left_ms), **options)
            except (KafkaTimeoutError, KafkaConnectionError):
                refusal = _refusal(kafka, watch.lines)
                if refusal:
                    raise UserError(refusal) from None
                if time.monotonic() >= deadline:
                    raise UserError(
                        f"no Kafka broker answers at {kafka.servers} within "
                        f"{kafka.connect_timeout_s:g} s ({_last(watch.lines)}): start it or set "
                        "kafka.bootstrap_servers"
                    ) from None
            except KafkaError as e:
                raise UserError(f"Kafka at {kafka.servers} cannot be used: {e}") from None
            except (OSError, ValueError) as e:
                raise UserError(f"Kafka at {kafka.servers} cannot be reached: {e}") from None


class _Watch(logging.Handler):
    """kafka-python tells only its log why it could not connect: this listens in, and keeps the
    lines from the operator, who gets one sentence instead."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._log = logging.getLogger("kafka")
        self._propagated = self._log.propagate

    def __enter__(self) -> _Watch:
        self._propagated = self._log.propagate
        self._log.propagate = False
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)
        self._log.propagate = self._propagated

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _refusal(kafka: KafkaSettings, lines: list[str]) -> str | None:
    """A sentence for a failure that trying again will not cure."""
    text = "\n".join(lines)
    sasl = kafka.security_protocol.startswith("SASL_")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        why = text[text.index("CERTIFICATE_VERIFY_FAILED") :].split("\n")[0].split("] ", 1)[-1]
        return (
            f"the certificate of Kafka at {kafka.servers} is not trusted ({why.split(' (')[0]}): "
            "set kafka.ssl_cafile to the certificate to trust"
        )
    if refused := certificate_refused(text, kafka.servers, kafka.ssl_certfile):
        return refused
    if "[SSL" in text:
        return (
            f"Kafka at {kafka.servers} does not speak TLS on that port: check the port or "
            f"kafka.security_protocol ({kafka.security_protocol})"
        )
    if "UnsupportedSaslMechanism" in text or "sasl mechanism. Enabled" in text:
        return (
            f"Kafka at {kafka.servers} does not offer {kafka.sasl_mechanism}: "
            "set kafka.sasl_mechanism"
        )
    # The broker answers a wrong password and hangs up; often the client sees only the latter.
    if sasl and ("SaslAuthenticationFailed" in text or "socket disconnected" in text):
        return (
            f"Kafka at {kafka.servers} refused to authenticate user {kafka.sasl_username!r} "
            f"by {kafka.sasl_mechanism}: the user name or the password is wrong"
        )
    if "socket disconnected" in text and "refresh: failed" in text:
        return (
            f"Kafka at {kafka.servers} hangs up on {kafka.security_protocol} connections: "
            "check kafka.security_protocol"
        )
    return None


def _last(lines: list[str]) -> str:
    for line in reversed(lines):
        if "Connection failed: " in line:
            return line.split("Connection failed: ", 1)[1].removeprefix("KafkaConnectionError: ")
    return lines[-1] if lines else "no answer"
