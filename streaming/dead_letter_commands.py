"""``session-rec dead-letters``: what could not be used, looked at and sent back."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streaming.config import PlayConfig
    from streaming.letters import Letter, LetterBox, Selection
    from streaming.redrive import Tally

dead_letters = typer.Typer(
    help="Messages that could not be used: list, show, send back.", no_args_is_help=True
)

_Config = Annotated[
    Path | None, typer.Option("--config", help="TOML file of the daemon, as for stream")
]
_Set = Annotated[
    list[str] | None, typer.Option("--set", help="key=value that overrides a setting; repeatable")
]
_Since = Annotated[
    str | None, typer.Option(help="written since: an ISO 8601 time, or a while ago such as 2h")
]
_Until = Annotated[str | None, typer.Option(help="written before; as --since")]
_Reason = Annotated[str | None, typer.Option(help="whose reason holds this text")]
_Source = Annotated[
    str | None, typer.Option(help="that came from this topic, or topic-partition: events-3")
]


def register(app: typer.Typer) -> None:
    """Adds ``dead-letters`` to the application."""
    app.add_typer(dead_letters, name="dead-letters")


@dead_letters.command("list")
def list_(
    config: _Config = None,
    set_: _Set = None,
    since: _Since = None,
    until: _Until = None,
    reason: _Reason = None,
    source: _Source = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="only so many of the newest of each partition")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write it here.")] = None,
) -> None:
    """Count the dead letters by reason and by the partition that they came from.

    Numbers within a reason are shown as N where they differ.
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from session_rec.console import err, out, write_json
    from streaming.letter_groups import Groups
    from streaming.safe_text import safe_text

    selection = _selection(reason, source, since, until, newest=limit)
    groups = Groups()
    with _opened(config, set_) as (settings, box), _watched(box, "reading") as seen:
        for letter in box.read(selection):
            groups.add(letter)
            seen(1)
    table = Table(box=SIMPLE_HEAD)
    table.add_column("reason", overflow="fold")
    for column in ("from", "letters", "cut", "first", "last", "newest at"):
        right = column in ("letters", "cut")
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for group in groups.by_count():
        table.add_row(
            escape(safe_text(group.reason)),
            escape(safe_text(group.source)),
            f"{group.letters:,}",
            f"{group.cut:,}",
            _time(group.first_ms),
            _time(group.last_ms),
            group.newest,
        )
    if groups.letters:
        out.print(table)
    err.print(
        f"{groups.letters:,} letters in topic {settings.topics.dead_letters}; "
        "look at one with: session-rec dead-letters show PARTITION:OFFSET"
        if groups.letters
        else f"no such letters in topic {settings.topics.dead_letters}",
        markup=False,
        highlight=False,
    )
    if json_out:
        write_json(json_out, groups.to_dict())


@dead_letters.command()
def show(
    positions: Annotated[list[str], typer.Argument(help="partition:offset of letters")],
    config: _Config = None,
    set_: _Set = None,
    most_bytes: Annotated[int, typer.Option(min=1, help="of a key or value to show")] = 4096,
) -> None:
    """Show letters whole: why, where from, headers, key and value.

    What does not print is escaped; what is no UTF-8 is shown as a hex dump.
    """
    with _opened(config, set_) as (_, box):
        for position in positions:
            _show(box.one(position), most_bytes)


@dead_letters.command()
def redrive(
    positions: Annotated[
        list[str] | None, typer.Argument(help="partition:offset of letters [default: all]")
    ] = None,
    config: _Config = None,
    set_: _Set = None,
    reason: _Reason = None,
    source: _Source = None,
    since: _Since = None,
    until: _Until = None,
    begin: Annotated[
        list[str] | None,
        typer.Option("--from", help="partition:offset to begin at, as an earlier run said it"),
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="send to this topic [default: where each came from]")
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="stamp them with the time of now, not with their own")
    ] = False,
    max_redrives: Annotated[
        int, typer.Option(min=1, help="leave out what was sent back so often already")
    ] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be sent")] = False,
    ask_above: Annotated[int, typer.Option(min=0, help="letters above which to ask")] = 100,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Send dead letters back: their raw key, value and headers, to the partition they came from.

    They stay in the dead-letter topic. The header session-rec.redrives counts how often a message
    was sent back. Letters that were cut to fit cannot be sent back.
    """
    from session_rec.console import err
    from session_rec.errors import UserError
    from streaming.kafka_clients import make_admin, make_producer
    from streaming.preflight import check_topics
    from streaming.redrive import Plan, Tally, survey
    from streaming.redrive import redrive as send_back

    selection = _selection(reason, source, since, until, positions=positions, begin=begin)
    plan = Plan(to, max_redrives, now)
    with _opened(config, set_) as (settings, box):
        if to == box.topic:
            raise UserError(f"--to {to!r} is the dead-letter topic itself")
        box.check(selection)
        with _watched(box, "looking") as seen:
            found = survey(_seen(box.read(selection), seen), plan)
        _tell(found, "would be sent" if dry_run else "to be sent")
        if dry_run or not found.count:
            return
        admin = make_admin(settings.kafka)
        try:
            check_topics(admin, settings.kafka.servers, tuple(found.targets))
        finally:
            admin.close()
        if found.count > ask_above and not yes:
            if not sys.stdin.isatty():
                raise UserError(f"{found.count:,} letters would be sent back: confirm with --yes")
            typer.confirm(f"Send {found.count:,} letters back?", abort=True, err=True)
        producer = make_producer(settings.kafka, linger_ms=10)
        done = Tally()
        whole = False
        try:
            with _watched(box, "sending") as seen:
                send_back(box.read(selection), plan, producer, done, seen)
            whole = True
        finally:
            # What was handed over before an interruption is not taken back.
            producer.close(timeout=10)
            _tell(done, "sent")
            if not whole:
                at = selection.begin | done.next_offset
                places = "".join(f" --from {p}:{o}" for p, o in sorted(at.items()))
                err.print(
                    f"stopped before the end; to go on, give the same command and{places}",
                    markup=False,
                    highlight=False,
                )


def _selection(
    reason: str | None,
    source: str | None,
    since: str | None,
    until: str | None,
    *,
    positions: list[str] | None = None,
    begin: list[str] | None = None,
    newest: int | None = None,
) -> Selection:
    from streaming.letters import Selection, parse_position, parse_time

    wanted: dict[int, set[int]] = {}
    for partition, offset in map(parse_position, positions or ()):
        wanted.setdefault(partition, set()).add(offset)
    return Selection(
        reason=reason,
        source=source,
        positions=wanted,
        since_ms=None if since is None else parse_time(since),
        until_ms=None if until is None else parse_time(until),
        begin=dict(map(parse_position, begin or ())),
        newest=newest,
    )


@contextmanager
def _opened(config: Path | None, set_: list[str] | None) -> Iterator[tuple[PlayConfig, LetterBox]]:
    from session_rec.config import load_config
    from streaming.config import PlayConfig
    from streaming.kafka_clients import make_admin, make_reader
    from streaming.letters import LetterBox
    from streaming.logs import set_up_logging
    from streaming.preflight import check_topics

    settings = load_config(config, PlayConfig, set_ or ())
    set_up_logging("CRITICAL")
    admin = make_admin(settings.kafka)
    try:
        check_topics(admin, settings.kafka.servers, (settings.topics.dead_letters,))
    finally:
        admin.close()
    consumer = make_reader(settings.kafka)
    try:
        yield settings, LetterBox(consumer, settings.topics.dead_letters)
    finally:
        consumer.close(autocommit=False)


@contextmanager
def _watched(box: LetterBox, title: str) -> Iterator[Callable[[int], Any]]:
    from session_rec.console import progress_bar

    with progress_bar(f"{title} {box.topic}", None) as advance:
        yield advance


def _seen(letters: Iterator[Letter], seen: Callable[[int], Any]) -> Iterator[Letter]:
    for letter in letters:
        yield letter
        seen(1)


def _show(letter: Letter, most: int) -> None:
    from session_rec.console import out
    from streaming.safe_text import safe_block, safe_text

    lines = [
        f"letter {letter.position}, written {_time(letter.written_ms)}",
        f"reason:  {safe_text(letter.reason)}",
    ]
    if letter.topic is not None:
        lines.append(
            f"from:    {safe_text(letter.topic)}, partition {letter.source_partition}, "
            f"offset {letter.source_offset}, timestamp {_time(letter.timestamp_ms)}"
        )
    if letter.redrives:
        lines.append(f"sent back {letter.redrives} times before")
    for name, value in letter.notes.items():
        if name not in ("reason", "topic", "partition", "offset", "timestamp", "redrives"):
            lines.append(f"note:    {safe_text(name)} = {safe_text(value)}")
    for name, value in letter.headers:
        lines.append(f"header:  {safe_text(name)} = {safe_text(value[:most])}")
    for name, data in (("key", letter.key), ("value", letter.value)):
        size = "" if data is None else f" ({len(data):,} bytes)"
        lines.append(f"{name}{size}:")
        lines += [f"    {line}" for line in safe_block(data, most)]
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)
    out.print()


def _tell(tally: Tally, what: str) -> None:
    from collections import Counter

    from session_rec.console import err
    from streaming.safe_text import safe_text

    lines: Counter[tuple[str, str]] = Counter()
    for (topic, reason), count in tally.sent.items():
        lines[topic, re.sub(r"\d+", "N", reason)] += count
    for (topic, reason), count in lines.most_common(20):
        _line(err, f"{count:,} {what} to {safe_text(topic)}: {safe_text(reason)}")
    for why, count in tally.skipped.items():
        _line(err, f"{count:,} left out, {why}")
    _line(err, f"{tally.count:,} letters {what}, {tally.skipped.total():,} left out")


def _line(console: Any, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True, emoji=False)


def _time(ms: int) -> str:
    """UTC to the second; as a number where no calendar has it."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(ms)
