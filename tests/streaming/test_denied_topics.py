"""A right that is taken away while the daemon runs: it stops with a sentence and drops nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broker_fixtures import SCRAM_PASSWORD, SCRAM_USER, Broker, apache_broker_started
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
)
from stream_support import Stage, click, toy_bundle

NOW = 1_700_000_000_000
#: Who comes by the broker's own listener may do anything, others what no rule denies.
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "allow.everyone.if.no.acl.found": "true",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with access control, that daemons reach as user ``shop`` and we as its master."""
    directory = tmp_path_factory.mktemp("guarded")
    with apache_broker_started(directory, "scram", AUTHORIZER) as broker:
        host, port = broker.bootstrap_servers.split(":")
        master = replace(broker, bootstrap_servers=f"{host}:{int(port) + 2}", security={})
        yield master
        master.close()


def as_shop(guarded: Broker, tmp_path: Path) -> dict[str, Any]:
    """Settings of a daemon that is user ``shop``."""
    password = tmp_path / "password"
    password.write_text(SCRAM_PASSWORD)
    host, port = guarded.bootstrap_servers.split(":")
    return {
        "kafka.bootstrap_servers": f"{host}:{int(port) - 2}",
        "kafka.security_protocol": "SASL_PLAINTEXT",
        "kafka.sasl_username": SCRAM_USER,
        "kafka.sasl_password_file": str(password),
    }


def deny(guarded: Broker, topic: str, *operations: ACLOperation) -> None:
    pattern = ResourcePattern(ResourceType.TOPIC, topic)
    who = f"User:{SCRAM_USER}"
    rules = [ACL(who, "*", what, ACLPermissionType.DENY, pattern) for what in operations]
    found = guarded.admin.create_acls(rules)
    assert not found["failed"], found


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_dead_letter_topic_that_is_denied(guarded: Broker, tmp_path: Path, delivery: str) -> None:
    stage = Stage(guarded, toy_bundle(tmp_path / "model"), partitions=1)
    settings = as_shop(guarded, tmp_path) | {"delivery": delivery, "delivery_timeout_s": 3}
    stage.produce([click("s1", "i01", NOW), (b"s1", b"{first", NOW)])
    with stage.daemon(**settings) as daemon:
        stage.wait_committed(2)
        deny(guarded, stage.dead_letters, ACLOperation.WRITE)
        stage.produce([click("s1", "i02", NOW + 1), (b"s1", b"{second", NOW + 1)])
        assert daemon.wait() == 1, daemon.log
    said = [line for line in daemon.lines if " ERROR streaming: " in line][-1]
    assert f"'{stage.dead_letters}'" in said and "TopicAuthorizationFailed" in said
    assert "that we may write to" in said and "Traceback" not in daemon.log
    assert stage.committed() < 4
    assert [letter.value for letter in stage.read(stage.dead_letters)] == [b"{first"]


def test_an_events_topic_that_is_denied(guarded: Broker, tmp_path: Path) -> None:
    stage = Stage(guarded, toy_bundle(tmp_path / "model"), partitions=1)
    stage.produce([click("s1", "i01", NOW)])
    with stage.daemon(**as_shop(guarded, tmp_path)) as daemon:
        stage.wait_committed(1)
        deny(guarded, stage.events, ACLOperation.READ)
        assert daemon.wait() == 2, daemon.log
    assert f"read topic '{stage.events}'" in daemon.lines[-1] and "Traceback" not in daemon.log
    assert stage.committed() == 1
