"""Daemons come and go: nothing is lost, and without a kill nothing is put out twice."""

from __future__ import annotations

from pathlib import Path

from broker_fixtures import Broker
from campaign import POLL, Campaign
from nursery import nursery
from stream_support import Stage, toy_bundle


def test_daemons_that_come_and_go_repeat_nothing(some_broker: Broker, tmp_path: Path) -> None:
    """At least once, so that only the draining of what is revoked can keep it from coming again."""
    stage = Stage(some_broker, toy_bundle(tmp_path / "model"), partitions=4)
    with nursery(tmp_path) as found:
        campaign = Campaign(stage, found, "at-least-once", seed=3, steady=1, per_second=80)
        for _ in range(2):
            campaign.change()
            campaign.settle(2)
            campaign.change()
            campaign.settle(1)
        verdict = campaign.finish(POLL)
    assert (verdict.added, verdict.removed, verdict.lost_partitions) == (2, 2, 0)
    assert (verdict.lost, verdict.duplicates) == (0, 0), verdict.again


def test_what_was_given_up_finds_an_owner_though_its_last_one_was_killed(
    some_broker: Broker, tmp_path: Path
) -> None:
    """Between giving partitions up and saying so to the group: a static member comes back to the
    place of the killed one without a rebalance, and nobody else knows that one is due."""
    stage = Stage(some_broker, toy_bundle(tmp_path / "model"), partitions=4)
    with nursery(tmp_path) as found:
        campaign = Campaign(
            stage,
            found,
            "at-least-once",
            seed=5,
            steady=1,
            per_second=40,
            **{"kafka.session_timeout_s": 120},
        )
        campaign.settle(1)
        campaign.kill_while_it_gives_up()
        campaign.settle(2)
        verdict = campaign.finish(POLL)
    assert verdict.lost == 0 and verdict.duplicates <= verdict.allowed, verdict.again


def test_a_static_member_restarts_without_a_rebalance(some_broker: Broker, tmp_path: Path) -> None:
    stage = Stage(some_broker, toy_bundle(tmp_path / "model"), partitions=2)
    with nursery(tmp_path) as found:
        # A long session: on a busy machine a start takes seconds.
        campaign = Campaign(
            stage,
            found,
            "at-least-once",
            seed=4,
            steady=2,
            per_second=40,
            **{"kafka.session_timeout_s": 120},
        )
        campaign.settle(2)
        before = campaign.rebalances()
        for _ in range(2):
            campaign.kill_by_chance()
            campaign.settle(2)
        assert campaign.rebalances() == before
        verdict = campaign.finish(POLL)
    assert verdict.lost == 0 and verdict.duplicates <= verdict.allowed, verdict.again
