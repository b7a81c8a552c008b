"""The search: trial after trial for each model, kept in a file, until the budget is used up."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from session_rec.errors import DataError, UserError
from training.tune.config import TuneConfig
from training.tune.data import TuneData, read_tune_data
from training.tune.searches import Search, read_searches

if TYPE_CHECKING:
    from training.tune.report import TuneReport


def tune(
    path: Path,
    out: Path,
    config: TuneConfig,
    names: list[str] | None = None,
    console: Console | None = None,
) -> TuneReport:
    """Searches the settings of each model, or goes on where an earlier search in ``out`` stopped.

    The budget may have grown since: trials that are over count.

    Args:
        path: prepared sessions or a Parquet file (:func:`training.tune.data.read_tune_data`).
        out: keeps the studies; gets ``report.json`` and ``best.toml`` after each trial.
        names: models to tune; None: those of the settings.
        console: where to show progress; None is silent.

    Raises:
        ConfigError: a setting is wrong, or ``out`` holds a search with other ones.
        DataError: the data cannot be read.
        UserError: Optuna is not installed, or another search is at work in ``out``.
    """
    if find_spec("optuna") is None:
        raise UserError(
            "optuna is not installed, and tune searches with it: pip install 'session-rec[tune]'"
        )
    from optuna.storages import JournalStorage

    from training.tune.journal import JournalFile
    from training.tune.report import ModelReport, TuneReport
    from training.tune.runner import Runner
    from training.tune.study import Study

    data = read_tune_data(path, config)
    searches = read_searches(config, names, data.has_clock, len(data.slices[0].train.session_ids))
    if console is not None:
        console.print(data.line, markup=False, highlight=False, soft_wrap=True)
    with _alone_in(out):
        # All of them first: what is refused is refused before hours of trials.
        storage = JournalStorage(JournalFile(out / "study.journal"))
        studies = [
            Study(
                storage,
                search,
                _identity(search, data, config),
                seed=config.seed,
                prune_after=config.prune_after,
            )
            for search in searches
        ]
        report = TuneReport(_protocol(path, data, config), [])
        with _bars(console) as bars:
            for study in studies:
                runner = Runner(study, data, config, out / "trials", console, bars)
                for _ in runner.trials():
                    TuneReport(report.protocol, [*report.models, ModelReport.of(study)]).write(out)
                report.models.append(ModelReport.of(study))
        report.write(out)
        shutil.rmtree(out / "trials", ignore_errors=True)
    return report


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Nobody else searches in ``out`` meanwhile: a trial under way would look like one of a
    process that is gone. The lock dies with the process."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / "lock").open("w")
    except OSError as e:
        raise DataError(f"{out} cannot be written ({e.strerror}): choose another place") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another search is at work in {out}: wait for it, or choose another --out"
            ) from None
        yield


def _identity(search: Search, data: TuneData, config: TuneConfig) -> dict[str, Any]:
    """All that decides the trials of a model but how many they are, as JSON gives it back."""
    identity = {
        "kind": search.kind,
        "settings": search.settings(search.start).model_dump(mode="json"),
        "space": {name: d.model_dump(mode="json") for name, d in search.space.items()},
        "pruning": [config.prune, config.prune_after],
        "session_rules": data.rules.to_dict(),
        "data": data.fingerprint,
        **{key: getattr(config, key) for key in _DECIDES},
    }
    known: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(identity))
    return known


_DECIDES = ("metric", "validation", "slices", "train_share", "seed")


def _protocol(path: Path, data: TuneData, config: TuneConfig) -> dict[str, Any]:
    share = f"{100 * config.validation:.3g} %"
    several = f"{config.slices} slices of {share}" if config.slices > 1 else share
    return {
        "scored": f"the newest {several} of the training sessions",
        "name": path.name,
        "data": data.fingerprint,
        "session_rules": data.rules.to_dict(),
        "sessions": [[len(s.train.session_ids), len(s.scored.session_ids)] for s in data.slices],
        "budget": {"trials": config.trials, "minutes": config.minutes},
        **{key: getattr(config, key) for key in _DECIDES},
    }


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
