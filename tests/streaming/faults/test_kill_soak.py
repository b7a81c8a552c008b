"""The long form: a hundred kills and twenty restarts of a real broker, in both modes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import POLL, Campaign
from nursery import nursery
from restartable_broker import restartable_broker
from stages import STAGES
from stream_support import Stage, toy_bundle


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_hundred_kills_and_twenty_broker_restarts_lose_nothing(
    tmp_path: Path, delivery: str, record_property: Callable[[str, object], None]
) -> None:
    with restartable_broker(tmp_path / "kafka") as running, nursery(tmp_path) as found:
        stage = Stage(running.broker, toy_bundle(tmp_path / "model"), partitions=6)
        campaign = Campaign(stage, found, delivery, seed=7, steady=3, per_second=60, broker=running)
        campaign.kill_everywhere(each=11, by_chance=25, bounces=20, changes=10)
        verdict = campaign.finish(POLL)
    record_property("table", verdict.show())
    assert verdict.kills >= 100 and verdict.broker_restarts >= 20
    assert all(verdict.at(stage) >= 10 for stage in STAGES)
    assert verdict.lost == 0
    assert verdict.duplicates <= verdict.allowed, verdict.again
    assert verdict.allowed == 0 or delivery == "at-least-once"
