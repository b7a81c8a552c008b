"""A daemon that is killed goes on from its snapshot, and what was erased is erased everywhere."""

from __future__ import annotations

import json
import time
from pathlib import Path

from broker_fixtures import Broker
from stream_support import Stage, click, expected_slates, toy_bundle, toy_events


def test_killed_it_goes_on_from_its_snapshot_and_erases_on_disk(
    broker: Broker, tmp_path: Path
) -> None:
    stage = Stage(broker, toy_bundle(tmp_path / "model"), partitions=1)
    state, audit, key = tmp_path / "state", tmp_path / "audit.jsonl", tmp_path / "key"
    key.write_text("a key of sixteen characters, or more")
    file = state / f"{stage.events}-0.state"
    kept = {
        "state_dir": str(state),
        "snapshot_interval_s": 0.2,
        "audit_log": str(audit),
        "audit_key_file": str(key),
    }
    events = toy_events(5, events=120)
    now = max(timestamp for _, _, timestamp in events)
    events.append(click("ann-of-kent", "i01", now))
    stage.produce(events)
    with stage.daemon(**kept) as first:
        stage.wait_committed(len(events))
        deadline = time.monotonic() + 20
        while not file.exists() or b"ann-of-kent" not in file.read_bytes():
            assert time.monotonic() < deadline, first.log
            time.sleep(0.05)
        first.kill()
    stage.produce([click("ann-of-kent", "i02", now + 1), (b"ann-of-kent", None, now + 2)])
    with stage.daemon(**kept) as second:
        line = second.wait_log(r"\d+ sessions as of offset \d+ from a snapshot")
        assert int(line.split()[0]) > 1
        stage.wait_committed(len(events) + 2)
        assert b"ann-of-kent" not in file.read_bytes()
        assert second.stop() == 0
    # Stopped in order, it leaves a snapshot of all that is committed: nothing is read again.
    assert b"ann-of-kent" not in file.read_bytes()
    (erased,) = [e for e in map(json.loads, audit.read_text().splitlines()) if e["offset"] > 120]
    assert erased["was_live"] and "ann-of-kent" not in audit.read_text()
    stage.produce([click("ann-of-kent", "i03", now + 3)])
    with stage.daemon(**kept) as third:
        third.wait_log(rf"as of offset {len(events) + 2} from a snapshot")
        stage.wait_committed(len(events) + 3)
    assert stage.slates() == expected_slates(stage.read(stage.events), stage.model)
