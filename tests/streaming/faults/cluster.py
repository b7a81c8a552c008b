"""What a campaign asks of the cluster beside its daemons."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Sequence

from broker_fixtures import Broker
from kafka import KafkaProducer
from kafka.admin import TransactionState
from kafka.errors import KafkaError
from nursery import Process
from stream_support import Stage, click


def members(stage: Stage) -> int:
    """Members of the group; none while it rebalances, or where nobody answers."""
    try:
        group = stage.broker.admin.describe_groups([stage.group])[stage.group]
    except KafkaError:
        return 0
    return len(group["members"]) if group["group_state"] == "Stable" else 0


def add_one_each(stage: Stage) -> None:
    """One more event per partition, as late as the newest there is: once they are committed, each
    partition's owner has its contexts."""
    latest = max(record.timestamp for record in stage.read(stage.events))
    producer = KafkaProducer(
        bootstrap_servers=stage.broker.bootstrap_servers, **stage.broker.security
    )
    sent = []
    for partition in range(stage.partitions):
        key, value, timestamp = click(f"last-{partition}", "i00", latest)
        sent.append(
            producer.send(
                stage.events, key=key, value=value, timestamp_ms=timestamp, partition=partition
            )
        )
    for future in sent:
        future.get(timeout=60)
    producer.close()


def let_commits_end(broker: Broker, processes: Sequence[Process]) -> None:
    """Stops the daemons where they are, and waits for the broker to end what it decided.

    A broker of Kafka 4.3.0 that is alone, and is killed after it decided to commit a transaction
    and before it wrote the markers, may come back, call the transaction complete, and never write
    them: its readers hang, whatever the daemons do. Transactions that are open meet the kill.
    """
    for process in processes:
        process.signal(signal.SIGSTOP)
    ending = {TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT}
    quiet = 0
    while quiet < 3:
        time.sleep(0.05)
        try:
            listed = broker.admin.list_transactions().values()
        except KafkaError:  # not connected again after the last kill
            continue
        quiet = 0 if any(t.state in ending for found in listed for t in found) else quiet + 1


def lost_partitions(log: str) -> int:
    """Partitions that a daemon lost, by its log."""
    return sum(len(found.split(",")) for found in re.findall(r"lost: \[(.+)\]", log))
