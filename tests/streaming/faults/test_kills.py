"""Daemons are killed at every stage of a round, on the broker that is there; `test_kill_soak.py`
does the same for long, and restarts the broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from broker_fixtures import Broker
from campaign import POLL, Campaign
from nursery import nursery
from stages import STAGES
from stream_support import Stage, toy_bundle


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_daemons_killed_at_every_stage_lose_nothing(
    some_broker: Broker, tmp_path: Path, delivery: str
) -> None:
    stage = Stage(some_broker, toy_bundle(tmp_path / "model"), partitions=3)
    with nursery(tmp_path) as found:
        campaign = Campaign(stage, found, delivery, seed=1, steady=2, per_second=80)
        campaign.kill_everywhere(each=1, by_chance=1, bounces=0, changes=0)
        verdict = campaign.finish(POLL)
    verdict.show()
    assert not campaign.ended
    assert all(verdict.aimed[stage] == 1 for stage in STAGES)
    assert verdict.kills == len(STAGES) + 1
    assert verdict.lost == 0
    assert verdict.duplicates <= verdict.allowed, verdict.again
    assert verdict.allowed == 0 or delivery == "at-least-once"
