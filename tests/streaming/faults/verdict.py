"""What a campaign of kills did to the outputs, held against a run without any."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nursery import Nursery
from rich.console import Console
from rich.table import Table
from stages import STAGES
from stream_support import Stage


@dataclass
class Outputs:
    """What a reader with read_committed finds.

    Attributes:
        predictions: id -> message, without the time of its making; the first of each id.
        letters: (partition, offset) -> (key, value, reason) of the dead letters.
        repeated: what came again, each as often as it did.
        differing: ids that came again with other contents.
    """

    predictions: dict[str, dict[str, Any]]
    letters: dict[tuple[int, int], tuple[Any, Any, bytes]]
    repeated: list[Any]
    differing: list[str]

    @property
    def repeats(self) -> int:
        """How often an output came again."""
        return len(self.repeated)

    def repeated_ranges(self) -> list[str]:
        """Where in the events topic they stand: what came again in one piece was read again."""
        found = [
            tuple(map(int, name.rsplit("-", 2)[1:])) if isinstance(name, str) else name
            for name in self.repeated
        ]
        ranges: list[list[int]] = []
        for partition, offset in sorted(found):
            # Between two outputs lie events without one.
            if ranges and ranges[-1][0] == partition and offset <= ranges[-1][2] + 20:
                ranges[-1][2], ranges[-1][3] = offset, ranges[-1][3] + 1
            else:
                ranges.append([partition, offset, offset, 1])
        return [f"partition {p}, offsets {a} to {b}: {n}" for p, a, b, n in ranges]

    @property
    def ids(self) -> set[Any]:
        """Of everything."""
        return {*self.predictions, *self.letters}


def read_outputs(stage: Stage) -> Outputs:
    """Everything in the two output topics."""
    found = Outputs({}, {}, [], [])
    for record in stage.read(stage.predictions):
        message = json.loads(record.value)
        assert message.pop("emitted_at") > 0
        assert record.key == message["session_id"].encode()
        _note(found, found.predictions, message["id"], message)
    for record in stage.read(stage.dead_letters):
        headers = dict(record.headers)
        where = tuple(int(headers[f"session-rec.{name}"]) for name in ("partition", "offset"))
        letter = (record.key, record.value, headers["session-rec.reason"])
        _note(found, found.letters, where, letter)
    return found


def _note(found: Outputs, place: dict[Any, Any], name: Any, value: Any) -> None:
    if name not in place:
        place[name] = value
        return
    found.repeated.append(name)
    if place[name] != value:
        found.differing.append(str(name))


def undisturbed(stage: Stage, nursery: Nursery, total: int) -> tuple[Outputs, dict[str, Any]]:
    """Outputs and last contexts of one daemon that nothing happens to, on the same events."""
    stage.fresh_outputs()
    process = nursery.start(
        stage.settings(group_instance_id="undisturbed", http=False, log_level="WARNING")
    )
    deadline = time.monotonic() + 300
    while stage.committed() < total:
        assert process.exit_code is None and time.monotonic() < deadline, process.log
        time.sleep(0.05)
    assert process.stop() == 0, process.log
    return read_outputs(stage), process.contexts()


@dataclass
class Verdict:
    """The figures of a campaign.

    Attributes:
        delivery: the mode.
        aimed, hit: kills by stage, as asked for; and by the stage that one at random hit.
        broker_restarts, added, removed: how often.
        lost_partitions: as the daemons logged them.
        events: records of the events topic.
        lost: outputs that are missing.
        duplicates: outputs that came again.
        allowed: how many may.
        again: where duplicates are of.
    """

    delivery: str
    aimed: Mapping[str, int]
    hit: Mapping[str, int]
    broker_restarts: int
    added: int
    removed: int
    lost_partitions: int
    events: int
    lost: int
    duplicates: int
    allowed: int
    again: list[str]

    @property
    def kills(self) -> int:
        """All of them."""
        return sum(self.aimed.values()) + sum(self.hit.values())

    def at(self, stage: str) -> int:
        """Kills that hit a stage."""
        return self.aimed.get(stage, 0) + self.hit.get(stage, 0)

    def show(self) -> str:
        """Prints the table, which pytest shows where the test fails, and returns it."""
        table = Table(title=f"{self.delivery}: {self.kills} SIGKILLs")
        table.add_column("what")
        table.add_column("aimed", justify="right")
        table.add_column("by chance", justify="right")
        table.add_column("in all", justify="right")
        for stage in (*STAGES, "idle"):
            aimed, hit = self.aimed.get(stage, 0), self.hit.get(stage, 0)
            table.add_row(f"killed {stage}", str(aimed), str(hit), str(aimed + hit))
        table.add_section()
        for what, count in (
            ("broker restarts by SIGKILL", self.broker_restarts),
            ("daemons added", self.added),
            ("daemons removed", self.removed),
            ("partitions lost without a kill", self.lost_partitions),
            ("events", self.events),
            ("outputs lost", self.lost),
            ("outputs duplicated", self.duplicates),
            ("duplicates allowed", self.allowed),
        ):
            table.add_row(what, "", "", str(count))
        text = io.StringIO()
        Console(file=text, width=100).print(table, *self.again, sep="\n")
        print(text.getvalue())
        return text.getvalue()


def compare(
    got: Outputs, want: Outputs, contexts: dict[str, Any], wanted_contexts: dict[str, Any]
) -> int:
    """Asserts that all that was put out is right; returns how much of it is missing."""
    assert not got.differing, got.differing[:5]
    assert not want.repeats
    extra = got.ids - want.ids
    assert not extra, sorted(map(str, extra))[:5]
    for name, message in got.predictions.items():
        # Item ids, their order, and scores as the JSON has them: the shortest text of each float.
        assert message == want.predictions[name]
    for where, letter in got.letters.items():
        assert letter == want.letters[where]
    assert sum(p["evicted"] for p in wanted_contexts.values()) == 0, "a cap was hit"
    assert contexts.keys() == wanted_contexts.keys()
    for partition, found in contexts.items():
        assert found["sessions"] == wanted_contexts[partition]["sessions"], partition
    return len(want.ids - got.ids)


def tally(places: list[str]) -> dict[str, int]:
    """Kills by stage."""
    return dict(Counter(places))
