"""The settings of the stream daemon, one TOML file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from session_rec.config import Config
from session_rec.sessions import SessionRules
from streaming.context_settings import MIB, ContextSettings
from streaming.experiment_settings import ExperimentSettings
from streaming.operation_settings import OperationSettings
from streaming.secret_sources import read_secret
from streaming.state_settings import StateSettings


class KafkaSettings(Config):
    """How to reach the cluster.

    Attributes:
        bootstrap_servers: ``host:port``, one or more; a list or separated by commas.
        security_protocol: ``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``.
        sasl_mechanism: ``PLAIN``, ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``.
        sasl_username: user name for SASL.
        sasl_password_env: environment variable that holds the password.
        sasl_password_file: file that holds the password. There is no setting for the password
            itself, so that it is in no configuration file and in no process list.
        ssl_cafile: PEM file of the certificates to trust; the system's if not given.
        ssl_certfile, ssl_keyfile: PEM files of our own certificate and key, where asked for.
        ssl_check_hostname: whether the broker's certificate must name its host.
        connect_timeout_s: seconds to go on trying at start before giving up.
        session_timeout_s: seconds without a heartbeat after which the group gives our partitions
            to others; a restart within it keeps them where ``group_instance_id`` is set.
    """

    bootstrap_servers: tuple[str, ...] = ("127.0.0.1:9092",)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-256"
    sasl_username: str | None = None
    sasl_password_env: str | None = None
    sasl_password_file: Path | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_check_hostname: bool = True
    connect_timeout_s: float = Field(default=10.0, gt=0, le=300)
    session_timeout_s: float = Field(default=10.0, ge=6, le=1800)

    @field_validator("bootstrap_servers", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not value:
            raise ValueError("name at least one broker as host:port")
        return value

    @model_validator(mode="after")
    def _credentials(self) -> KafkaSettings:
        if self.security_protocol.startswith("SASL_"):
            if not self.sasl_username:
                raise ValueError("sasl_username is needed with SASL")
            if bool(self.sasl_password_env) == bool(self.sasl_password_file):
                raise ValueError(
                    "SASL needs the password in sasl_password_env or in sasl_password_file"
                )
        return self

    @property
    def servers(self) -> str:
        """The brokers, for messages."""
        return ", ".join(self.bootstrap_servers)

    def password(self) -> str:
        """The SASL password.

        Raises:
            ConfigError: the variable is not set, the file cannot be read, or it is empty.
        """
        secret = read_secret(self.sasl_password_env, self.sasl_password_file, "Kafka password")
        assert secret is not None  # SASL settings name one of the two
        return secret


class Topics(Config):
    """Topic names.

    Attributes:
        events: click events come from here; not compacted.
        predictions: slates go here, keyed by session id.
        dead_letters: messages that cannot be used go here, with their raw bytes.
        shadow: slates of a ``shadow`` go here; needed only with one.
    """

    events: str = "events"
    predictions: str = "predictions"
    dead_letters: str = "dead-letters"
    shadow: str = "shadow-predictions"

    @model_validator(mode="after")
    def _distinct(self) -> Topics:
        if len({self.events, self.predictions, self.dead_letters, self.shadow}) < 4:
            raise ValueError("events, predictions, dead_letters and shadow must be four topics")
        return self


class RulesSettings(Config):
    """Session rules that replace the model's own; then served is not what was evaluated.

    Attributes:
        name: ``shop`` or ``pairs``.
        max_length: events a context holds at most.
        inactivity_s: a longer gap, in seconds, begins a new session under the same id.
        horizon_s: events older than this, in seconds before the newest, are out of the context.
    """

    name: Literal["shop", "pairs"] = "shop"
    max_length: int = Field(20, ge=1, le=1000)
    inactivity_s: float = Field(1800, gt=0)
    horizon_s: float = Field(86400, gt=0)

    def build(self) -> SessionRules:
        """The rules in the engine's units."""
        return SessionRules(
            self.name,
            self.max_length,
            round(self.inactivity_s * 1000),
            round(self.horizon_s * 1000),
        )


class StreamConfig(OperationSettings, StateSettings):
    """Settings of ``session-rec stream``, beside those of :class:`OperationSettings`
    and :class:`StateSettings`.

    Attributes:
        model: the model directory to serve; or a model store (docs/models.md), whose current model
            is served, and another one as soon as it is promoted.
        model_poll_s: seconds between two looks at the pointer of a store.
        shadow: directory of a challenger, which answers the same contexts in a process of its own
            without being shown (docs/models.md).
        experiment: answers some sessions by a challenger, shown to them (docs/experiments.md).
        rollback_window_s: seconds for which a model that took over is on trial: the one before it
            answers where it raises, and takes over again where it does worse; 0 is off.
        rollback_errors: batches that it cannot answer after which it is taken back.
        rollback_rise: how much larger than before the share of fallback or of empty slates may be,
            as a fraction of all; what may be chance is borne as well.
        kafka: how to reach the cluster.
        topics: topic names.
        group_id: the consumer group; all daemons of one service share it.
        group_instance_id: a name of this one process, unique in the group, makes it a static
            member: a restart within ``kafka.session_timeout_s`` keeps its partitions.
        delivery: ``at-least-once``, or ``exactly-once`` by Kafka transactions, for readers with
            ``read_committed`` (docs/delivery.md).
        transactional_id: name of this one process to the transactions of ``exactly-once``; made of
            ``group_id`` and ``group_instance_id`` if not given.
        transaction_timeout_s: seconds after which the cluster aborts what a dead process left open,
            and readers and the next owner go on.
        start: where a group without commits begins: ``latest``, ``earliest`` or an ISO 8601 time.
        accept_loss: go on where records expired before they were read, instead of stopping with
            the lost range.
        k: items per slate.
        exclude_seen: leave the items of the context out of the slate.
        blocked_items: ids of items never shown.
        rules: session rules in place of the model's own.
        allowed_lateness_s: seconds of event time that an event may be behind the newest one of
            its partition; older ones are counted and dropped.
        max_future_skew_s: seconds that an event's ``ts`` may be ahead of its record's Kafka
            timestamp; at most ``allowed_lateness_s``. ``"off"`` where made-up clocks meet a
            LogAppendTime topic.
        pairs_idle_s: under ``pairs`` rules, seconds of event time after which a session without
            events is forgotten.
        bot_span_s: a session whose full context spans no more seconds gets no prediction; 0 is off.
        conflate: under lag, only the newest context of a session in a poll gets a prediction.
        conflate_lag: records of lag on a partition from which ``conflate`` acts.
        max_poll_records: records per poll: what a crash repeats at most.
        micro_batch: contexts scored at once.
        delivery_timeout_s: seconds to go on trying to deliver before stopping with exit code 1.
        shutdown_timeout_s: seconds after SIGTERM within which everything is flushed and committed.
    """

    model: Path
    model_poll_s: float = Field(1.0, gt=0, le=3600)
    shadow: Path | None = None
    experiment: ExperimentSettings | None = None
    rollback_window_s: float = Field(600.0, ge=0)
    rollback_errors: int = Field(1, ge=1)
    rollback_rise: float = Field(0.1, gt=0, le=1)
    kafka: KafkaSettings = KafkaSettings()
    topics: Topics = Topics()
    group_id: str = Field("session-rec", min_length=1)
    group_instance_id: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]{1,249}$")
    delivery: Literal["at-least-once", "exactly-once"] = "at-least-once"
    transactional_id: str | None = Field(None, min_length=1, max_length=1000)
    transaction_timeout_s: float = Field(10.0, ge=1, le=10)
    start: str = "latest"
    accept_loss: bool = False
    k: int = Field(20, ge=1, le=1000)
    exclude_seen: bool = False
    blocked_items: tuple[str, ...] = ()
    rules: RulesSettings | None = None
    allowed_lateness_s: float = Field(120.0, ge=0)
    max_future_skew_s: float | Literal["off"] = 60.0
    pairs_idle_s: float = Field(7 * 86400, gt=0)
    bot_span_s: float = Field(0.0, ge=0)
    conflate: bool = False
    conflate_lag: int = Field(1000, ge=0)
    max_poll_records: int = Field(500, ge=1, le=10_000)
    micro_batch: int = Field(64, ge=1, le=10_000)
    delivery_timeout_s: float = Field(120.0, gt=0)
    shutdown_timeout_s: float = Field(20.0, gt=0)

    @field_validator("start")
    @classmethod
    def _start(cls, value: str) -> str:
        if value not in ("latest", "earliest"):
            try:
                datetime.fromisoformat(value)
            except ValueError:
                raise ValueError(
                    f"{value!r} is neither 'latest', 'earliest' nor an ISO 8601 time"
                ) from None
        return value

    @model_validator(mode="after")
    def _skew(self) -> StreamConfig:
        skew = self.max_future_skew_s
        if skew != "off" and not 0 <= skew <= self.allowed_lateness_s:
            raise ValueError(
                f"max_future_skew_s ({skew:g}) must be between 0 and allowed_lateness_s "
                f'({self.allowed_lateness_s:g}), or "off": one event ahead of time must not '
                "make the others late"
            )
        return self

    @model_validator(mode="after")
    def _transactional(self) -> StreamConfig:
        if self.delivery == "exactly-once" and self.transaction_name is None:
            raise ValueError(
                'delivery = "exactly-once" needs group_instance_id or transactional_id, a name of '
                "this one process that it keeps over restarts"
            )
        return self

    @property
    def transaction_name(self) -> str | None:
        """The transactional id: the one given, else made of group and instance; None without."""
        if self.transactional_id is None and self.group_instance_id is not None:
            return f"{self.group_id}-{self.group_instance_id}"
        return self.transactional_id

    @property
    def round_limit_s(self) -> float:
        """Seconds after which a round of the loop counts as stuck."""
        return self.healthz_timeout_s or 2 * self.delivery_timeout_s + 60

    @property
    def start_ms(self) -> int | None:
        """``start`` in milliseconds, None for ``latest`` and ``earliest``. A time without a zone
        is local time."""
        if self.start in ("latest", "earliest"):
            return None
        return round(datetime.fromisoformat(self.start).timestamp() * 1000)

    @property
    def max_future_skew_ms(self) -> int | None:
        """None where the check is off."""
        skew = self.max_future_skew_s
        return None if skew == "off" else round(skew * 1000)

    def context_settings(self, model_rules: SessionRules) -> ContextSettings:
        """What decides the state of a partition, in milliseconds."""
        return ContextSettings(
            rules=self.rules.build() if self.rules else model_rules,
            allowed_lateness_ms=round(self.allowed_lateness_s * 1000),
            pairs_idle_ms=round(self.pairs_idle_s * 1000),
            bot_span_ms=round(self.bot_span_s * 1000),
            max_sessions=self.max_sessions,
            max_bytes=round(self.max_state_mb * MIB),
            max_future_skew_ms=self.max_future_skew_ms,
        )


class PlayConfig(StreamConfig):
    """The settings that ``session-rec play`` reads, of the same file; no model is needed."""

    model: Path = Path("model")
