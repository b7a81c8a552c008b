"""Dead letters counted by reason and by where they came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from streaming.letters import FOREIGN, Letter


@dataclass
class Group:
    """Letters of one kind of reason from one partition.

    Attributes:
        reason: as it is where all have the same, else with N for its numbers.
        source: ``topic-partition`` that they came from.
        letters: how many.
        cut: of these, how many lack a part of the message.
        first_ms, last_ms: when the oldest and the newest were written.
        newest: ``partition:offset`` of the newest.
    """

    reason: str
    source: str
    letters: int
    cut: int
    first_ms: int
    last_ms: int
    newest: str


class Groups:
    """Counts letters as they come."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], Group] = {}
        self.letters = 0

    def add(self, letter: Letter) -> None:
        """Counts one more."""
        self.letters += 1
        reason = re.sub(r"\d+", "N", letter.reason)
        source = "" if letter.topic is None else f"{letter.topic}-{letter.source_partition}"
        at = letter.written_ms
        group = self._groups.get((reason, source))
        if group is None:
            group = Group(letter.reason, source, 0, 0, at, at, letter.position)
            self._groups[reason, source] = group
        if group.reason != letter.reason:
            group.reason = reason
        group.letters += 1
        group.cut += letter.cut
        group.first_ms = min(group.first_ms, at)
        if at >= group.last_ms:
            group.last_ms, group.newest = at, letter.position

    def by_count(self) -> list[Group]:
        """The groups, the largest first."""
        return sorted(self._groups.values(), key=lambda g: (-g.letters, g.reason, g.source))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        groups = [vars(group) for group in self.by_count()]
        foreign = sum(g.letters for g in self._groups.values() if g.reason == FOREIGN)
        return {"letters": self.letters, "foreign": foreign, "groups": groups}
