"""An in-memory Kafka for the demo and for tests: one node, 127.0.0.1 only, nothing is kept.

It speaks the Kafka protocol by kafka-python's own message schemas and answers as Apache Kafka 4.3
does; `tests/contracts/broker` holds both to the same contract, with two client libraries. What it
does not have: security, replication, compaction, quotas, the KIP-848 group protocol, transactions
of version 2. As a process of its own: `python -m streaming.embedded_broker --topic events:4`.
"""

from .broker import EmbeddedBroker
from .server import BrokerServer
from .settings import BrokerSettings

__all__ = ["BrokerServer", "BrokerSettings", "EmbeddedBroker"]
