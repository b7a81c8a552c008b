"""Exactly once: a batch and its offsets become visible together, and only if they are committed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from broker_fixtures import Broker, unique
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import ClusterAuthorizationFailedError, KafkaTimeoutError
from kafka.structs import ConsumerGroupMetadata, MemberState, OffsetAndMetadata
from stream_support import Stage

from session_rec.config import parse_config
from session_rec.errors import ConfigError, UserError
from streaming.config import StreamConfig
from streaming.dead_letters import DeadLetters
from streaming.delivery import DeliveryError
from streaming.outputs import Output
from streaming.transactions import TransactionalDelivery, make_delivery


def config(stage: Stage, **more: object) -> StreamConfig:
    values = {
        "model": "m",
        "topics": {
            "events": stage.events,
            "predictions": stage.predictions,
            "dead_letters": stage.dead_letters,
        },
        "kafka": {"bootstrap_servers": stage.broker.bootstrap_servers},
        "group_id": stage.group,
        "group_instance_id": "one",
        "delivery": "exactly-once",
        **more,
    }
    return parse_config(values, StreamConfig, "test")


class Group:
    """A consumer whose membership is what a test says; it reads commits for real."""

    def __init__(self, stage: Stage) -> None:
        self.group_id = stage.group
        self._real = KafkaConsumer(
            bootstrap_servers=stage.broker.bootstrap_servers,
            group_id=stage.group,
            isolation_level="read_committed",
            enable_auto_commit=False,
        )
        self.member = ConsumerGroupMetadata(stage.group, -1, "", None, MemberState.STABLE)

    def group_metadata(self) -> ConsumerGroupMetadata:
        return self.member

    def committed(self, tp: TopicPartition, **how: Any) -> Any:
        return self._real.committed(tp, **how)

    def close(self) -> None:
        self._real.close()


class Case:
    """A delivery between real topics."""

    def __init__(self, broker: Broker, tmp_path: Path, **more: object) -> None:
        self.stage = Stage(broker, tmp_path, partitions=2)
        self.group = Group(self.stage)
        self.delivery = make_delivery(
            config(self.stage, **more), self.group, DeadLetters(self.stage.dead_letters, 1_048_576)
        )
        assert isinstance(self.delivery, TransactionalDelivery)

    def tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self.stage.events, partition)

    def send(self, partition: int, *values: bytes, topic: str | None = None) -> None:
        source = f"{self.stage.events}-{partition}"
        self.delivery.send(
            [Output(topic or self.stage.predictions, b"k", v, [], source) for v in values]
        )

    def commit(self, **offsets: int) -> bool:
        """``p0=5`` commits offset 5 of partition 0."""
        return self.delivery.commit(
            {self.tp(int(p[1:])): OffsetAndMetadata(o, "{}", -1) for p, o in offsets.items()}
        )

    def seen(self) -> list[bytes]:
        return sorted(r.value for r in self.stage.read(self.stage.predictions))

    def committed(self) -> dict[int, int]:
        found = {p: self.group.committed(self.tp(p)) for p in range(2)}
        return {p: offset for p, offset in found.items() if offset is not None}

    def close(self) -> None:
        self.delivery.close(1)
        self.group.close()


def test_outputs_and_offsets_become_visible_together(broker: Broker, tmp_path: Path) -> None:
    case = Case(broker, tmp_path)
    case.send(0, b"a", b"b")
    case.send(1, b"c")
    case.delivery.settle()
    assert (case.seen(), case.committed()) == ([], {})
    assert case.commit(p0=2, p1=1)
    assert (case.seen(), case.committed()) == ([b"a", b"b", b"c"], {0: 2, 1: 1})
    assert case.commit(p1=4)  # records without an output
    case.send(0, b"d")
    case.delivery.settle()
    assert case.commit(p0=3)
    assert (case.seen(), case.committed()) == ([b"a", b"b", b"c", b"d"], {0: 3, 1: 4})
    case.close()


def test_a_process_of_the_same_name_aborts_what_the_last_one_left(
    broker: Broker, tmp_path: Path
) -> None:
    case = Case(broker, tmp_path)
    case.send(0, b"left behind")
    case.delivery.settle()
    again = TransactionalDelivery(
        config(case.stage), case.group, DeadLetters(case.stage.dead_letters, 10_000)
    )
    again.send([Output(case.stage.predictions, b"k", b"made again", [], "x")])
    again.settle()
    assert again.commit({case.tp(0): OffsetAndMetadata(1, "{}", -1)})
    assert case.seen() == [b"made again"]
    with pytest.raises(UserError, match="took our place"):
        case.commit(p0=7)
    assert (case.seen(), case.committed()) == ([b"made again"], {0: 1})
    again.close(1)
    case.close()


@pytest.mark.parametrize("member", ["a stale one", "none at the moment"])
def test_what_is_refused_is_kept_and_what_changed_hands_is_not(
    broker: Broker, tmp_path: Path, member: str
) -> None:
    """kafka-python would commit refused offsets with those of its next transaction."""
    case = Case(broker, tmp_path)
    fine = case.group.member
    case.group.member = (
        ConsumerGroupMetadata(case.group.group_id, 5, "nobody", None, MemberState.STABLE)
        if member == "a stale one"
        else fine._replace(state=MemberState.UNJOINED)
    )
    case.send(0, b"a")
    case.send(1, b"b")
    case.delivery.settle()
    assert not case.commit(p0=1, p1=1)
    assert not case.commit(p0=1, p1=1)
    case.group.member = fine
    case.delivery.forget(f"{case.stage.events}-0")
    assert case.commit(p1=1)
    assert (case.seen(), case.committed()) == ([b"b"], {1: 1})
    case.close()


@pytest.mark.parametrize("took_place", [True, False])
def test_a_commit_without_an_answer_is_looked_up(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took_place: bool
) -> None:
    case = Case(broker, tmp_path)
    real, calls = case.delivery._end, []

    def end(deadline: float) -> None:
        calls.append(deadline)
        if len(calls) > 1 or took_place:
            real(deadline)
        if len(calls) == 1:
            raise KafkaTimeoutError("no answer")

    monkeypatch.setattr(case.delivery, "_end", end)
    case.send(0, b"a")
    case.delivery.settle()
    assert case.commit(p0=1)
    assert len(calls) == (1 if took_place else 2)
    assert (case.seen(), case.committed()) == ([b"a"], {0: 1})
    case.close()


def test_a_dead_letter_too_large_is_cut_and_its_batch_goes_with_it(
    broker: Broker, tmp_path: Path
) -> None:
    case = Case(broker, tmp_path)
    case.stage.dead_letters = broker.topic(1, {"max.message.bytes": "5000"}, prefix="dead")
    case.delivery._config.topics.__dict__["dead_letters"] = case.stage.dead_letters
    case.send(0, b"a")
    case.send(0, b"x" * 40_000, topic=case.stage.dead_letters)
    case.delivery.settle()
    assert case.commit(p0=2)
    assert (case.seen(), case.committed()) == ([b"a"], {0: 2})
    (letter,) = case.stage.read(case.stage.dead_letters)
    assert 1000 < len(letter.value) < 5000
    case.close()


def test_a_cluster_that_went_away_is_waited_for_and_then_an_error(tmp_path: Path) -> None:
    from streaming.embedded_broker import EmbeddedBroker

    with EmbeddedBroker() as running:
        broker = Broker("embedded", running.bootstrap_servers)
        case = Case(broker, tmp_path, delivery_timeout_s=1.5)
        broker.close()
    began = time.monotonic()
    case.send(0, b"a")
    with pytest.raises(DeliveryError, match="could not be committed within|cannot be begun|no Kaf"):
        case.delivery.settle()
    assert time.monotonic() - began < 20
    case.group.close()


def test_a_cluster_without_transactions_for_us_is_one_sentence(
    embedded_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object) -> None:
        raise ClusterAuthorizationFailedError("not you")

    monkeypatch.setattr("kafka.KafkaProducer.init_transactions", refuse)
    with pytest.raises(UserError, match=r"gives no transactions to transactional_id '.*-one'"):
        Case(embedded_broker, tmp_path)


def test_exactly_once_asks_for_a_name_of_the_process() -> None:
    with pytest.raises(ConfigError, match="needs group_instance_id or transactional_id"):
        parse_config({"model": "m", "delivery": "exactly-once"}, StreamConfig, "test")
    named = {"model": "m", "delivery": "exactly-once", "group_id": unique("g")}
    derived = parse_config(named | {"group_instance_id": "a"}, StreamConfig, "test")
    assert derived.transaction_name == f"{named['group_id']}-a"
    given = parse_config(named | {"transactional_id": "t"}, StreamConfig, "test")
    assert given.transaction_name == "t"
    with pytest.raises(ConfigError, match="transaction_timeout_s"):
        parse_config({"model": "m", "transaction_timeout_s": 11}, StreamConfig, "test")
