"""The sub-command ``experiment``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

if TYPE_CHECKING:
    from streaming.config import StreamConfig
    from streaming.experiment_report import ExperimentReport
    from streaming.record_files import RecordFile
    from streaming.topic_reader import TopicReader

_CUTOFFS = (1, 5, 10, 20)  #: those that the slates are long enough for, unless --k says others


def register(app: typer.Typer) -> None:
    """Adds ``experiment`` to the command line."""
    app.command("experiment")(experiment)


def experiment(
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file that the daemons run with.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value that overrides a setting.")
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option("--k", min=1, help="Cut-off; may repeat. The largest decides."),
    ] = None,
    window: Annotated[
        float, typer.Option(min=1, help="Seconds for which a session is looked at.")
    ] = 3600.0,
    pause: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds; a longer one ends a session; else the model's."),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Chance, at most, to tell equal arms apart.")
    ] = 0.05,
    events_file: Annotated[
        Path | None, typer.Option(help="Records of the events topic, as kcat -J writes them.")
    ] = None,
    predictions_file: Annotated[
        Path | None, typer.Option(help="Those of the predictions topic.")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write it here.")] = None,
) -> None:
    """Join later clicks to the slates of an experiment, and say which arm is ahead.

    Look as often as you like: the interval holds at all looks at once (docs/experiments.md). Reads
    the events and predictions topics from their beginning, or files with their records; writes
    nothing, commits nothing.
    """
    from session_rec.config import load_config
    from session_rec.console import err, out, write_json
    from session_rec.errors import ConfigError
    from streaming.config import PlayConfig
    from streaming.experiment_report import METHOD
    from streaming.logs import set_up_logging

    settings = load_config(config, PlayConfig, set_ or ())
    if settings.experiment is None:
        raise ConfigError(
            f"{config or 'the settings'}: there is no [experiment] to look at; give the file that "
            "the daemons run with"
        )
    if k and max(k) > settings.k:
        raise ConfigError(f"--k {max(k)}: slates have {settings.k} items, ask for no more")
    set_up_logging("ERROR")
    cutoffs = sorted(set(k or (*(c for c in _CUTOFFS if c < settings.k), settings.k)))
    if (events_file is None) != (predictions_file is None):
        raise ConfigError("--events-file and --predictions-file: give both or neither")
    files = (events_file, predictions_file) if events_file and predictions_file else None
    report = _look(settings, files, cutoffs, window, pause, alpha)
    out.print(_arms_table(report))
    out.print(_differences_table(report))
    out.print(report.sentence(), markup=False, highlight=False, soft_wrap=True)
    for warning in report.warnings():
        err.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    out.print(METHOD, style="dim", markup=False, highlight=False, soft_wrap=True)
    if json_out:
        write_json(json_out, report.to_dict())


def _look(
    settings: StreamConfig,
    files: tuple[Path, Path] | None,
    cutoffs: list[int],
    window_s: float,
    pause_s: float | None,
    alpha: float,
) -> ExperimentReport:
    import msgspec

    from session_rec.console import progress_bar
    from session_rec.errors import DataError
    from streaming.event_columns import EventColumns
    from streaming.experiment_report import summarise
    from streaming.messages import decode_prediction
    from streaming.slate_joins import SlateJoins

    assert settings.experiment is not None
    name = settings.experiment.name
    pause_ms = _pause_ms(settings) if pause_s is None else round(pause_s * 1000)
    events = EventColumns(settings.max_future_skew_ms)
    joins = SlateJoins(name, events, round(window_s * 1000), pause_ms)
    unreadable = 0
    with (
        _records(settings, files) as (predictions, clicks),
        progress_bar("experiment", predictions.records + clicks.records) as advance,
    ):
        for record in clicks.read(advance):
            events.add(record)
        for record in predictions.read(advance):
            try:
                joins.take(decode_prediction(record.value or b""))
            except (msgspec.DecodeError, ValueError):
                unreadable += 1
    if not joins.sessions:
        where = files[1] if files else f"topic {settings.topics.predictions!r}"
        strange = f", {unreadable} of them no predictions" if unreadable else ""
        raise DataError(
            f"{where} holds {joins.predictions + unreadable} records{strange} "
            f"and none of experiment {name!r}: run the daemons with it first"
        )
    return summarise(
        joins,
        len(events.erased & joins.sessions.keys()),
        experiment=name,
        share=settings.experiment.share,
        cutoffs=cutoffs,
        until=joins.answered_until - round(settings.allowed_lateness_s * 1000),
        alpha=alpha,
    )


@contextmanager
def _records(
    settings: StreamConfig, files: tuple[Path, Path] | None
) -> Iterator[tuple[TopicReader | RecordFile, TopicReader | RecordFile]]:
    """Predictions and events: where they end is found in this order, so that the event of each
    prediction is there."""
    from streaming.record_files import RecordFile

    if files is not None:
        yield RecordFile(files[1]), RecordFile(files[0])
        return
    from streaming.kafka_clients import make_admin, make_reader
    from streaming.preflight import check_topics
    from streaming.topic_reader import TopicReader

    topics = settings.topics
    admin = make_admin(settings.kafka)
    try:
        check_topics(admin, settings.kafka.servers, (topics.events, topics.predictions))
    finally:
        admin.close()
    consumer = make_reader(settings.kafka)
    try:
        yield TopicReader(consumer, topics.predictions), TopicReader(consumer, topics.events)
    finally:
        consumer.close()


def _pause_ms(settings: StreamConfig) -> int | None:
    """What ends a session under the rules that contexts are cut by; None under ``pairs``."""
    from session_rec.errors import BundleError
    from session_rec.manifest import read_manifest
    from session_rec.model_store import ModelStore
    from session_rec.sessions import SessionRules

    rules = SessionRules()
    if settings.rules is not None:
        rules = settings.rules.build()
    elif settings.model.is_dir():
        # The models may be on another machine than the one that looks: then it is the usual pause.
        directory = settings.model
        try:
            if ModelStore.is_at(directory) and (pointer := ModelStore(directory).pointer()):
                directory = directory / pointer.current.name
            rules = SessionRules.from_dict(read_manifest(directory).rules)
        except BundleError:
            pass
    return None if rules.as_given else rules.inactivity_ms


def _arms_table(report: ExperimentReport) -> Table:
    from streaming.slate_joins import REASONS

    table = Table(title=f"experiment {report.experiment}", box=SIMPLE_HEAD)
    table.add_column("")
    for column in ("sessions", "compared", "open", "slates", "joined %", *REASONS):
        table.add_column(column, justify="right")
    for name, arm in report.arms.items():
        joined = 100 * arm.joined / arm.slates if arm.slates else 0.0
        table.add_row(
            name,
            *(f"{n:,}" for n in (arm.sessions, arm.compared, arm.open, arm.slates)),
            f"{joined:.1f}",
            *(f"{arm.not_joined[reason]:,}" for reason in REASONS),
        )
    return table


def _differences_table(report: ExperimentReport) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("mean over sessions, %")
    for column in (*report.arms, "difference", "from", "to"):
        table.add_column(column, justify="right")
    for name, d in report.differences.items():
        table.add_row(
            f"{name} (decides)" if name == report.primary else name,
            *(f"{100 * arm.metrics[name]:.2f}" for arm in report.arms.values()),
            *(f"{100 * value:+.2f}" for value in (d.estimate, d.low, d.high)),
        )
    return table
