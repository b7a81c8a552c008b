"""Where the dead-letter topic cannot be written, the daemon stops uncommitted and drops nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from broker_fixtures import Broker
from kafka.admin import ConfigResource, ConfigResourceType
from stream_support import Stage, click, toy_bundle
from test_delivery import config, outputs

from streaming.dead_letters import DeadLetters
from streaming.delivery import DeliveryError
from streaming.transactions import make_delivery

NOW = 1_700_000_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("models") / "toy")


def test_many_letters_for_a_topic_that_is_gone_wait_once_not_each(
    embedded_broker: Broker, tmp_path: Path
) -> None:
    """The client waits for a topic that it does not know at every record handed to it."""
    stage = Stage(embedded_broker, tmp_path, partitions=1)
    settings = config(stage, delivery_timeout_s=1)
    delivery = make_delivery(settings, None, DeadLetters(stage.dead_letters, 10_000))
    stage.broker.admin.delete_topics([stage.dead_letters])
    waits = []
    handed = delivery._producer._wait_on_metadata

    def counted(topic: str, *how: Any) -> Any:
        waits.append(topic)
        return handed(topic, *how)

    delivery._producer._wait_on_metadata = counted
    delivery.send(outputs(stage.dead_letters, 200) + outputs(stage.predictions, 3))
    assert waits.count(stage.dead_letters) == 1
    with pytest.raises(DeliveryError, match=rf"200 messages .* \(topic '{stage.dead_letters}': "):
        delivery.settle()
    delivery.close(1)
    assert len(stage.read(stage.predictions)) == 3


def delete_while_running(stage: Stage, delivery: str) -> None:
    stage.produce([click("s1", "i01", NOW), (b"s1", b"{first", NOW)])
    with stage.daemon(delivery=delivery, delivery_timeout_s=2) as daemon:
        stage.wait_committed(2)
        stage.broker.admin.delete_topics([stage.dead_letters])
        stage.produce([click("s1", "i02", NOW + 1), (b"s1", b"{second", NOW + 1)])
        assert daemon.wait() == 1, daemon.log
    # After it the client may say that it gave up what was under way.
    last = [line for line in daemon.lines if " ERROR streaming: " in line][-1]
    assert f"'{stage.dead_letters}'" in last and "Traceback" not in daemon.log
    assert 2 <= stage.committed() < 4


@pytest.mark.parametrize("kind", ["embedded", pytest.param("apache", marks=pytest.mark.soak)])
def test_a_topic_deleted_between_transactions(
    request: pytest.FixtureRequest, model: Path, kind: str
) -> None:
    stage = Stage(request.getfixturevalue(f"{kind}_broker"), model, partitions=1)
    delete_while_running(stage, "exactly-once")


def test_a_topic_deleted_while_running(broker: Broker, model: Path) -> None:
    stage = Stage(broker, model, partitions=1)
    delete_while_running(stage, "at-least-once")
    # With the topic back, a restart goes on and has the letter.
    stage.dead_letters = stage.broker.topic(1, prefix="dead")
    with stage.daemon() as daemon:
        stage.wait_committed(4)
        assert daemon.stop() == 0, daemon.log
    assert [letter.value for letter in stage.read(stage.dead_letters)] == [b"{second"]


def test_a_topic_too_small_for_any_letter(broker: Broker, model: Path) -> None:
    stage = Stage(broker, model, partitions=1)
    with stage.daemon(delivery_timeout_s=20) as daemon:
        stage.produce([click("s1", "i01", NOW)])
        stage.wait_committed(1)
        resource = ConfigResource(
            ConfigResourceType.TOPIC, stage.dead_letters, {"max.message.bytes": "100"}
        )
        broker.admin.alter_configs([resource])
        stage.produce([(b"s1", b"{" * 5000, NOW)])
        assert daemon.wait() == 2, daemon.log
    assert "raise its max.message.bytes" in daemon.lines[-1]
    assert stage.dead_letters in daemon.lines[-1] and "Traceback" not in daemon.log
    assert stage.committed() == 1
