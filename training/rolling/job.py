"""Evaluation over rolling windows: every model, every window, then the averages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from session_rec.console import write_json
from session_rec.errors import ConfigError
from session_rec.event_log import SessionLog, read_sessions
from session_rec.sessions import SessionRules
from training.rolling.chain import Bar, Chain
from training.rolling.config import RollingConfig, RollingModel, rolling_models
from training.rolling.report import RollingReport, model_figures
from training.rolling.windows import RollingLog, WindowLength, cut_windows, without_repeats


def roll(
    config: RollingConfig, names: list[str] | None = None, console: Console | None = None
) -> RollingReport:
    """Rolls the models over the windows of the data, or goes on where an earlier run stopped.

    The same settings and data give the same report, interrupted or not. It is also written to
    ``rolling.json`` in the run directory.

    Args:
        config: data, windows, models.
        names: models to run; None: those of the settings.
        console: where to show progress; None is silent.

    Raises:
        ConfigError: a setting is wrong.
        DataError: the data cannot be read, has no clock, or is of one window only.
    """
    length = WindowLength.parse(config.window)
    models = rolling_models(config, names)
    scale = 1000 if config.ts_unit == "s" else 1
    log = read_sessions(config.data, config.columns, config.where, scale)
    return roll_log(log, config, length, models, console)


def roll_log(
    log: SessionLog,
    config: RollingConfig,
    length: WindowLength,
    models: list[RollingModel],
    console: Console | None = None,
) -> RollingReport:
    """As :func:`roll`, over a log that was read already (``ts`` in milliseconds) and models that
    were checked already; ``data``, ``columns``, ``where``, ``ts_unit``, ``window`` and ``models``
    of the settings are not looked at."""
    rules = SessionRules(**config.session_rules.model_dump())
    if config.collapse_repeats:
        log = without_repeats(log)
    data = cut_windows(log, rules, length)
    scored = _scored_windows(data, config)
    if console is not None:
        console.print(_said(data, scored), markup=False, highlight=False, soft_wrap=True)
    figures = []
    with _bars(console) as bars:
        task = bars.add_task("rolling", total=len(models) * len(scored))
        for model in models:
            chain = Chain(data, rules, model, config, console)
            records = []
            for window in scored:
                name = data.windows[window].name
                bars.update(task, description=f"{model.name}, {name}")
                records.append(chain.score(window - 1, _questions_bar(bars)))
                bars.advance(task)
            figures.append(model_figures(model, records))
    report = RollingReport.of(data, scored, log.fingerprint, rules, config, figures)
    write_json(config.run_dir / "rolling.json", report.to_dict())
    return report


def _scored_windows(data: RollingLog, config: RollingConfig) -> range:
    end = len(data.windows)
    if config.burn_in >= end:
        raise ConfigError(
            f"burn_in = {config.burn_in} leaves nothing to score: the data has {end} windows of "
            f"{data.length}"
        )
    last = min(end, config.burn_in + config.max_windows) if config.max_windows else end
    return range(config.burn_in, last)


def _said(data: RollingLog, scored: range) -> str:
    first, last = data.windows[0].name, data.windows[-1].name
    said = f"{len(data.windows)} windows of {data.length}, {first} to {last}; scored: {len(scored)}"
    return said + (f"; {data.empty} empty ones skipped" if data.empty else "")


def _bars(console: Console | None) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=console is None,
        transient=True,
    )


def _questions_bar(bars: Progress) -> Bar:
    """A second bar while the questions of a window are answered."""

    @contextmanager
    def bar(questions: int) -> Iterator[Callable[[int], None]]:
        task = bars.add_task("  questions", total=questions)
        yield lambda answered: bars.advance(task, answered)
        bars.remove_task(task)

    return bar
