"""The sub-command ``replay``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

_PAUSE_S = 1.0  #: before each click of a session that a person watches


def register(app: typer.Typer) -> None:
    """Adds ``replay`` to the command line."""
    app.command("replay")(replay)


def replay(
    model: Annotated[Path, typer.Option(help="Model directory.")],
    sessions: Annotated[Path, typer.Option(help="Parquet file of prepared sessions.")],
    through_kafka: Annotated[
        bool, typer.Option("--through-kafka", help="Through a broker and a daemon.")
    ] = False,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="host:port,… of a cluster [default: an embedded broker]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML of the daemon: use its [kafka] cluster.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Recorded seconds per second.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Events per second, instead of --speed.")
    ] = None,
    where: Annotated[str | None, typer.Option(help="SQL condition on the rows.")] = None,
    first: Annotated[int | None, typer.Option(min=1, help="Only so many sessions.")] = None,
    show: Annotated[int, typer.Option(min=0, help="Sessions to show click by click.")] = 0,
    partitions: Annotated[int, typer.Option(min=1, help="Of the topics made for it.")] = 4,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value for the daemon; may repeat.")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write it here.")] = None,
) -> None:
    """Replay recorded sessions through the engine: quality, latency and throughput.

    Without --speed or --rate everything is due at once: throughput then says something, latency
    is the length of the queue.
    """
    from session_rec.config import load_config
    from session_rec.console import err, out, progress_bar, write_json
    from session_rec.errors import UserError
    from session_rec.evaluation.replay import replay as replay_here
    from session_rec.evaluation.replay import summarise
    from session_rec.event_log import read_sessions
    from session_rec.recommender import Recommender
    from session_rec.schedule import schedule

    if show and not through_kafka:
        raise UserError("--show needs --through-kafka: it shows what a daemon answers")
    recommender = Recommender.load(model)
    log = read_sessions(sessions, where=where)
    log = log.first_sessions(first or len(log))
    plan = schedule(log, speed, rate)
    title = "replay through Kafka" if through_kafka else "replay"
    if not through_kafka:
        with progress_bar(title, len(log)) as advance:
            answers = replay_here(recommender, log, plan=plan, progress=advance)
    else:
        from streaming.config import PlayConfig
        from streaming.live_replay import embedded_broker_process, replay_through_kafka
        from streaming.logs import set_up_logging
        from streaming.unfold import Unfolding, choose_sessions

        set_up_logging("ERROR")
        chosen = choose_sessions(log, plan, recommender.catalog, recommender.rules, show)
        unfolding = Unfolding(log, chosen, recommender.catalog, out)
        paused = float(unfolding.pauses(plan).sum()) * _PAUSE_S
        plan = plan.with_pauses(unfolding.pauses(plan), _PAUSE_S)
        with ExitStack() as stack:
            if config is None and bootstrap_servers is None:
                bootstrap_servers = stack.enter_context(embedded_broker_process())
            overrides = (
                [f'kafka.bootstrap_servers="{bootstrap_servers}"'] if bootstrap_servers else []
            )
            kafka = load_config(config, PlayConfig, overrides).kafka
            advance = None if chosen else stack.enter_context(progress_bar(title, len(log)))
            done = 0

            def to(sent: int) -> None:
                nonlocal done
                if advance is not None:
                    advance(sent - done)
                done = sent

            answers = replay_through_kafka(
                model,
                log,
                plan,
                kafka,
                partitions=partitions,
                settings=tuple(settings or ()),
                progress=to,
                on_prediction=unfolding if chosen else None,
            )
        answers.seconds -= paused
        err.print(f"the daemon on {kafka.servers} stopped", markup=False, highlight=False)
    report = summarise(recommender, log, answers, recommender.rules, sessions.stem)
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in ("events", "events/s", "HR@20", "timely", "MRR@20", "p50 ms", "p90", "p99"):
        table.add_column(column, justify="right")
    table.add_row(
        f"{report.events:,}",
        f"{report.events_per_second:,.0f}",
        f"{100 * report.metrics['hr@20']:.2f}",
        f"{100 * report.timely_hr:.2f}",
        f"{100 * report.metrics['mrr@20']:.2f}",
        *(f"{report.latency_ms[q]:.1f}" for q in ("p50", "p90", "p99")),
    )
    out.print(table)
    if report.missing:
        err.print(f"{report.missing} questions had no prediction: they count as misses")
    if json_out:
        write_json(json_out, report.to_dict())
