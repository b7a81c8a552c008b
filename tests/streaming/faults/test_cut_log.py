"""A broker that comes back without its newest records: the daemon stops and says which, and goes on
once it was told from where."""

from __future__ import annotations

from pathlib import Path

import pytest
from broker_fixtures import Broker
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from restartable_broker import RestartableBroker, restartable_broker
from stream_support import Stage, click, expected_slates, toy_bundle

NOW = 1_700_000_000_000


def cut(running: RestartableBroker, topic: str, batches: int) -> None:
    """Takes the last batches off the only segment of partition 0, as a disk that lost them."""
    segment = next((running.directory / "log" / f"{topic}-0").glob("*.log"))
    data = segment.read_bytes()
    begins, at = [], 0
    while at < len(data):
        begins.append(at)
        at += 12 + int.from_bytes(data[at + 8 : at + 12], "big")
    segment.write_bytes(data[: begins[-batches]])


@pytest.mark.soak
def test_a_log_that_was_cut_ends_the_daemon_with_a_sentence(tmp_path: Path) -> None:
    model = toy_bundle(tmp_path / "model")
    with restartable_broker(tmp_path / "kafka") as running:
        stage = Stage(running.broker, model, partitions=1)
        tp = TopicPartition(stage.events, 0)
        for n in range(4):
            stage.produce([click("s1", f"i0{n}", NOW + n)])
        # It stays a member while the broker is away, and so finds out while it runs.
        lasting = {"kafka.session_timeout_s": 120, "group_instance_id": None}
        with stage.daemon(**lasting) as daemon:
            stage.wait_committed(4)
            running.kill()
            cut(running, stage.events, 2)
            running.restart()
            running.wait()
            # Others take the places of what is gone.
            stage.produce([click("s1", f"i0{n}", NOW + n) for n in (5, 6, 7)])
            # The client may first wait for a request that the dead broker took along.
            assert daemon.wait(120) == 2, daemon.log
        sentence = daemon.lines[-1]
        assert f"{stage.events}-0 was cut" in sentence and "lost offsets 2 to 3" in sentence
        assert "unclean leader election" in sentence and "Traceback" not in daemon.log
        assert f"--topic {stage.events}:0 --reset-offsets --to-offset 2 --execute" in sentence
        assert stage.committed() == 4
        before = stage.slates()
        assert len(before) == 4

        # Done as told, it goes on with what stands there now.
        offsets = {tp: OffsetAndMetadata(2, "", -1)}
        stage.broker.admin.alter_group_offsets(stage.group, offsets)
        assert stage.committed() == 2
        stage.predictions = stage.broker.topic(2, prefix="predictions")
        with stage.daemon() as daemon:
            stage.wait_committed(5)
            assert daemon.stop() == 0, daemon.log
        expected = expected_slates(stage.read(stage.events), model)
        of_new = {id_: slate for id_, slate in expected.items() if id_.rsplit("-", 1)[1] >= "2"}
        assert len(of_new) == 3
        assert stage.slates() == of_new


def test_a_log_that_ends_before_the_commit_is_told_at_start(
    embedded_broker: Broker, tmp_path: Path
) -> None:
    stage = Stage(embedded_broker, toy_bundle(tmp_path / "model"), partitions=1)
    stage.produce([click("s1", "i01", NOW), click("s1", "i02", NOW + 1)])
    offsets = {TopicPartition(stage.events, 0): OffsetAndMetadata(7, "", -1)}
    stage.broker.admin.alter_group_offsets(stage.group, offsets)
    with stage.daemon() as daemon:
        assert daemon.wait() == 2, daemon.log
    assert f"{stage.events}-0 ends at offset 2, before the committed 7" in daemon.lines[-1]
    assert "--reset-offsets --to-offset 2 --execute" in daemon.lines[-1]
    assert stage.committed() == 7
