"""``session-rec dead-letters``: what could not be used, looked at and sent back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streaming.config import PlayConfig
    from streaming.letters import Letter, LetterBox, Selection

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
    from streaming.letter_lines import when
    from streaming.safe_text import safe_text

    selection = _selection(reason, source, since, until, newest=limit)
    groups = Groups()
    with _opened(config, set_) as (settings, box), _watched(box, "reading") as seen:
        for letter in box.read(selection):
            groups.add(letter)
            seen(1)
    table = Table(box=SIMPLE_HEAD)
    table.add_column("reason", overflow="fold", min_width=16)
    for column in ("from", "letters", "cut", "first", "last", "newest at"):
        right = column in ("letters", "cut")
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for group in groups.by_count():
        table.add_row(
            escape(safe_text(group.reason)),
            escape(safe_text(group.source)),
            f"{group.letters:,}",
            f"{group.cut:,}",
            when(group.first_ms),
            when(group.last_ms),
            group.newest,
        )
    if groups.letters:
        # In a file nothing needs to be cut to what a terminal shows.
        if not out.is_terminal:
            out.width = max(out.width, 140)
        out.print(table)
    topic = settings.topics.dead_letters
    said = f"{groups.letters:,} letters in topic {topic}; look at one with: "
    said += "session-rec dead-letters show PARTITION:OFFSET"
    _print(err, [said if groups.letters else f"no such letters in topic {topic}"])
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
    from session_rec.console import out
    from streaming.letter_lines import letter_lines

    with _opened(config, set_) as (_, box):
        for position in positions:
            _print(out, [*letter_lines(box.one(position), most_bytes), ""])


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
    from streaming.letter_lines import tally_lines
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
        _print(err, tally_lines(found, "would be sent" if dry_run else "to be sent"))
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
            _print(err, tally_lines(done, "sent"))
            if not whole:
                at = selection.begin | done.next_offset
                places = "".join(f" --from {p}:{o}" for p, o in sorted(at.items()))
                why = f"stopped before the end; to go on, give the same command and{places}"
                _print(err, [why])


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


def _print(console: Any, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)
