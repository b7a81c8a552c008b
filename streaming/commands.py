"""The sub-commands ``stream`` and ``play``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from streaming.dead_letter_commands import register as register_dead_letters
from streaming.experiment_command import register as register_experiment
from streaming.replay_command import register as register_replay

_ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings, such as configs/stream.toml")
]
_SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="key=value that overrides a setting; repeatable")
]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command("stream")(stream)
    app.command("play")(play)
    register_replay(app)
    register_dead_letters(app)
    register_experiment(app)


def stream(
    config: _ConfigOption = None,
    set_: _SetOption = None,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", hidden=True, help="Stop when standard input closes.")
    ] = False,
) -> None:
    """Serve a model live: click events from Kafka in, ranked next items out.

    Stops on SIGTERM or Ctrl-C after committing what it took. Exit codes: 0 stopped, 1 the cluster
    went away for too long (restart it) or a defect, 2 a setting, model, topic or password cannot be
    used, 3 not drained within shutdown_timeout_s, 4 another process took our place (do not restart
    this one); 128 + signal after a second signal.
    """
    from session_rec.config import load_config
    from streaming.config import StreamConfig
    from streaming.daemon import Daemon
    from streaming.delivery import DeliveryError
    from streaming.fencing import FENCED, Fenced
    from streaming.logs import failures_logged, set_up_logging
    from streaming.shutdown import Shutdown

    settings = load_config(config, StreamConfig, set_ or ())
    set_up_logging(settings.log_level, settings.log_format)
    for sentence in settings.warnings():
        logging.getLogger("streaming").warning("%s", sentence)
    shutdown = Shutdown(settings.shutdown_timeout_s)
    shutdown.install()
    if with_parent:
        shutdown.follow_parent()
    with failures_logged(settings.log_format):
        try:
            Daemon(settings).run(shutdown)
        except DeliveryError as e:
            logging.getLogger("streaming").error("%s", e)
            sys.exit(1)
        except Fenced as e:
            logging.getLogger("streaming").error("%s", e)
            sys.exit(FENCED)


def play(
    sessions: Annotated[Path, typer.Option(help="Parquet file of prepared sessions")],
    speed: Annotated[
        str, typer.Option(help="recorded seconds per second, such as 60, or 'max'")
    ] = "max",
    topic: Annotated[
        str | None, typer.Option(help="topic to play into [default: the events topic of --config]")
    ] = None,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="host:port,… instead of the one in --config")
    ] = None,
    config: _ConfigOption = None,
    set_: _SetOption = None,
    where: Annotated[
        str | None, typer.Option(help="SQL condition on the rows, such as \"split = 'test'\"")
    ] = None,
    shift_to_now: Annotated[
        bool, typer.Option(help="move all times so that the first event happens now")
    ] = False,
) -> None:
    """Play recorded sessions into the events topic, in time order.

    The record key is the session id and the record timestamp is the event time.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from session_rec.config import load_config
    from session_rec.event_log import read_sessions
    from session_rec.schedule import schedule
    from streaming.config import PlayConfig
    from streaming.kafka_clients import make_admin, make_producer
    from streaming.logs import set_up_logging
    from streaming.player import play as play_log
    from streaming.preflight import check_topics

    overrides = list(set_ or ())
    if bootstrap_servers:
        overrides.append(f'kafka.bootstrap_servers="{bootstrap_servers}"')
    if topic:
        overrides.append(f'topics.events="{topic}"')
    settings = load_config(config, PlayConfig, overrides)
    set_up_logging("WARNING")
    factor = _speed(speed)
    log = read_sessions(sessions, where=where)
    name = settings.topics.events
    admin = make_admin(settings.kafka)
    try:
        check_topics(admin, settings.kafka.servers, (name,))
    finally:
        admin.close()
    producer = make_producer(settings.kafka)
    console = Console(stderr=True)
    columns = (TextColumn("playing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=len(log))
            played = play_log(
                log,
                producer,
                name,
                schedule(log, factor),
                shift_to_now=shift_to_now,
                progress=lambda n: bar.update(task, completed=n),
            )
    finally:
        producer.close(timeout=5)
    rate = len(played.ids) / max(played.seconds, 1e-9)
    behind = f", at most {played.behind_s * 1000:.0f} ms behind schedule" if factor else ""
    console.print(
        f"played {len(played.ids)} events of {len(log.session_ids)} sessions into {name} in "
        f"{played.seconds:.1f} s ({rate:.0f}/s{behind})",
        highlight=False,
    )


def _speed(text: str) -> float | None:
    from session_rec.errors import UserError

    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise UserError(f"--speed {text!r}: give a positive number or 'max'")
    return factor
