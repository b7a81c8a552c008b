"""Dead letters in words, for a terminal."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime

from streaming.letters import Letter
from streaming.redrive import Tally
from streaming.safe_text import safe_block, safe_text

#: Notes that have lines of their own.
_TOLD = ("reason", "topic", "partition", "offset", "timestamp", "redrives")
_KINDS = 20


def letter_lines(letter: Letter, most: int) -> list[str]:
    """All that a letter says; ``most`` bytes of a key, a value or a header."""
    lines = [
        f"letter {letter.position}, written {when(letter.written_ms)}",
        f"reason:  {safe_text(letter.reason)}",
    ]
    if letter.topic is not None:
        lines.append(
            f"from:    {safe_text(letter.topic)}, partition {letter.source_partition}, "
            f"offset {letter.source_offset}, timestamp {when(letter.timestamp_ms)}"
        )
    if letter.redrives:
        lines.append(f"sent back {letter.redrives} times before")
    for name, value in letter.notes.items():
        if name not in _TOLD:
            lines.append(f"note:    {safe_text(name)} = {safe_text(value[:most])}")
    for name, own in letter.headers:
        shown = "null" if own is None else safe_text(own[:most])
        lines.append(f"header:  {safe_text(name)} = {shown}")
    for name, data in (("key", letter.key), ("value", letter.value)):
        size = "" if data is None else f" ({len(data):,} bytes)"
        lines.append(f"{name}{size}:")
        lines += [f"    {line}" for line in safe_block(data, most)]
    return lines


def tally_lines(tally: Tally, what: str) -> list[str]:
    """What was sent (``what`` says it), by topic and kind of reason, and what was left out."""
    kinds: Counter[tuple[str, str]] = Counter()
    for (topic, reason), count in tally.sent.items():
        kinds[topic, re.sub(r"\d+", "N", reason)] += count
    return [
        *(
            f"{count:,} {what} to {safe_text(topic)}: {safe_text(reason)}"
            for (topic, reason), count in kinds.most_common(_KINDS)
        ),
        *(f"{count:,} left out, {why}" for why, count in tally.skipped.items()),
        f"{tally.count:,} letters {what}, {tally.skipped.total():,} left out",
    ]


def when(ms: int) -> str:
    """UTC to the second; as a number where no calendar has it."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(ms)
