"""Settings of the embedded broker as a whole, and its constants: those of Apache Kafka 4.3.

With one exception: `retention.ms` is unlimited by default, because recorded sessions are played
with their own, old timestamps and a demo must not lose them. DescribeConfigs says so, as for any
broker with `log.retention.ms=-1`.
"""

from __future__ import annotations

from dataclasses import dataclass

NODE_ID = 1
HOST = "127.0.0.1"
LEADER_EPOCH = 0
MAX_REQUEST_BYTES = 100 * 1024 * 1024  # socket.request.max.bytes
MAX_OFFSET_METADATA_BYTES = 4096  # offset.metadata.max.bytes


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What the broker as a whole is told; times in milliseconds, sizes in bytes."""

    port: int = 0
    auto_create_topics: bool = False
    default_partitions: int = 1
    retention_ms: int = -1
    retention_bytes: int = -1
    retention_check_ms: int = 1_000
    max_message_bytes: int = 1_048_588
    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    initial_rebalance_delay_ms: int = 0
    max_transaction_timeout_ms: int = 900_000
