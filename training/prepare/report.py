"""What a preparation did: the counts, kept in ``prepare.json`` and shown as a table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from session_rec.sessions import SessionRules
from training.prepare.times import TsReading

FORMAT_VERSION = 1
DUPLICATES = "duplicates"


@dataclass(frozen=True)
class Report:
    """What was read, what was dropped and why, and what is left.

    ``rows`` equals the sum of all events dropped and of the events of all splits.

    Attributes:
        config: the settings, as JSON values.
        rules: the session rules.
        source: the input's format, files and fingerprint.
        time: how the times were read.
        rows: rows read.
        dropped_rows: reason -> rows dropped before sessions were made; they count for all splits.
        sessions: sessions that the cut made, before cleaning.
        dropped: filter -> (events, sessions) dropped from training and validation data.
        sessions_split: sessions more than before because a dropped item left too long a gap.
        passes: how often the support and length filters ran.
        splits: split -> counts.
        catalog: counts of the catalog, if one was given.
        notes: sentences that a person should read.
    """

    config: dict[str, Any]
    rules: SessionRules
    source: dict[str, Any]
    time: TsReading
    rows: int
    dropped_rows: dict[str, int]
    sessions: int
    dropped: dict[str, tuple[int, int]]
    sessions_split: int
    passes: int
    splits: dict[str, dict[str, Any]]
    catalog: dict[str, Any] | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The content of ``prepare.json``; it names no host and no time of its writing."""
        return {
            "format_version": FORMAT_VERSION,
            "config": self.config,
            "session_rules": self.rules.to_dict(),
            "session_rules_fingerprint": self.rules.fingerprint,
            "input": self.source,
            "time": {"unit": self.time.unit, "detected": self.time.detected},
            "rows": self.rows,
            "dropped_rows": self.dropped_rows,
            "sessions": self.sessions,
            "dropped": {
                name: {"events": events, "sessions": sessions}
                for name, (events, sessions) in self.dropped.items()
            },
            "sessions_split": self.sessions_split,
            "passes": self.passes,
            "splits": self.splits,
            "catalog": self.catalog,
            "notes": list(self.notes),
        }

    def table(self) -> Group:
        """The counts for a terminal."""
        return Group(self._dropped_table(), self._split_table(), *map(Text, self.notes))

    def _dropped_table(self) -> Table:
        table = Table(title="what was dropped and why", title_justify="left")
        table.add_column("step")
        for name in ("events", "sessions", "share of rows"):
            table.add_column(name, justify="right")

        def line(step: str, events: int, sessions: int | None = None, style: str = "") -> None:
            table.add_row(
                step,
                f"{events:,}",
                "" if sessions is None else f"{sessions:,}",
                f"{events / self.rows:.2%}",
                style=style,
            )

        line("rows read", self.rows, style="bold")
        for reason, n in self.dropped_rows.items():
            if n or reason == DUPLICATES:
                line(f"- {reason}", -n)
        left = self.rows - sum(self.dropped_rows.values())
        line("cut into sessions", left, self.sessions, "bold")
        for name, (events, sessions) in self.dropped.items():
            line(f"- {name} (not from test)", -events, -sessions)
        if self.sessions_split:
            line("+ parted where an item was dropped", 0, self.sessions_split)
        kept = self.splits.values()
        line("kept", sum(s["events"] for s in kept), sum(s["sessions"] for s in kept), "bold")
        return table

    def _split_table(self) -> Table:
        table = Table(
            title="splits (new items: share of events whose item train does not have)",
            title_justify="left",
        )
        table.add_column("split", no_wrap=True)
        for name in ("events", "sessions", "items", "new items"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("from", no_wrap=True)
        table.add_column("to", no_wrap=True)
        for name, s in self.splits.items():
            counts = (s["events"], s["sessions"], s["items"])
            share = s["events_of_items_not_in_train"] / max(1, s["events"])
            table.add_row(
                name,
                *(f"{n:,}" for n in counts),
                f"{share:.2%}",
                self._time(s["first_ts"]),
                self._time(s["last_ts"]),
            )
        return table

    def _time(self, ts: int | None) -> str:
        if ts is None:
            return ""
        if self.time.unit == "index":
            return str(ts)
        return datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%d")
