"""The training sessions of a search, and the slices of them that trials are scored on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from session_rec.catalog import Catalog
from session_rec.errors import ConfigError, DataError
from session_rec.event_log import SessionLog, read_sessions
from session_rec.ragged import Ragged
from session_rec.sessions import SessionRules
from training.recorded import clock_scale, find_columns
from training.session_slices import in_order_of_ends, session_slice
from training.train import build_catalog, prepared_rules
from training.tune.config import TuneConfig


@dataclass(frozen=True)
class Slice:
    """Sessions to train on, and the ones that came next.

    Attributes:
        train: in the order in which they ended.
        scored: the sessions after those.
        rules: what makes a session.
    """

    train: SessionLog
    scored: SessionLog
    rules: SessionRules

    @cached_property
    def catalog(self) -> Catalog:
        """The items of ``train``."""
        return build_catalog(self.train)

    @cached_property
    def sessions(self) -> tuple[Ragged, Ragged]:
        """``train`` and ``scored`` as catalog rows."""
        train, scored = (
            log.training_sessions(self.catalog, self.rules) for log in (self.train, self.scored)
        )
        return train, scored


@dataclass(frozen=True)
class TuneData:
    """What a search learns from.

    Attributes:
        slices: the newest one first.
        rules: what makes a session.
        has_clock: whether ``ts`` says when an event was.
        fingerprint: sha256 (hex) of all training sessions.
    """

    slices: tuple[Slice, ...]
    rules: SessionRules
    has_clock: bool
    fingerprint: str

    @property
    def line(self) -> str:
        """How much is trained on and scored, in words."""
        newest = self.slices[0]
        text = (
            f"{len(newest.train.session_ids):,} sessions to train on, the next "
            f"{len(newest.scored.session_ids):,} to score"
        )
        more = len(self.slices) - 1
        return text + (f", and {more} earlier slices like it" if more else "")


def read_tune_data(path: Path, config: TuneConfig) -> TuneData:
    """The training sessions in ``path``, cut into slices. No test session is read.

    Args:
        path: what ``session-rec prepare`` wrote, of which ``train.parquet`` is read, or a Parquet
            file of sessions, of which the rows are read whose ``split`` is ``train``, if it has
            such a column.

    Raises:
        DataError: it cannot be read, or holds too few sessions.
        ConfigError: a setting does not fit to it.
    """
    if path.is_dir():
        if config.session_rules is not None or config.columns:
            raise ConfigError(
                f"{path} is a directory of prepared sessions, which has its own session_rules and "
                "columns: leave them away"
            )
        rules = prepared_rules(path)
        log = read_sessions(path / "train.parquet")
        has_clock = clock_scale(int(log.ts.min()), int(log.ts.max())) == 1
    else:
        file = find_columns(path, config.columns)
        own = config.session_rules
        rules = SessionRules("pairs") if own is None else SessionRules(**own.model_dump())
        log = file.read("split = 'train'" if file.has_split else None)
        has_clock = file.ts_scale is not None
        if not has_clock and not rules.as_given:
            raise ConfigError(
                f"{path}: ts is no clock, so sessions cannot be cut by time: use the "
                "session_rules 'pairs'"
            )
    slices = cut_slices(log, rules, config.validation, config.slices, config.train_share)
    return TuneData(slices, rules, has_clock, log.fingerprint)


def cut_slices(
    log: SessionLog, rules: SessionRules, share: float, count: int, train_share: float = 1.0
) -> tuple[Slice, ...]:
    """``count`` slices of ``share`` of all sessions each, the newest first, and what came before
    each.

    Args:
        train_share: newest share of what came before that is trained on.

    Raises:
        DataError: there are too few sessions.

    >>> from session_rec.toy import toy_log
    >>> log = toy_log("a b", "a b c", "a b c a", "a b c a b")
    >>> slices = cut_slices(log, SessionRules(), share=0.25, count=2)
    >>> [(len(s.train.session_ids), s.scored.session_ids) for s in slices]
    [(3, ('s3',)), (2, ('s2',))]
    """
    ordered, _, ends = in_order_of_ends(log, rules)
    total = len(ends)
    held = int(total * share)
    if held == 0 or total <= held * count:
        raise DataError(
            f"{total} training sessions are too few for {count} validation slices of {share:.0%}"
        )
    slices = []
    for end in range(total, total - held * count, -held):
        border = end - held
        first = border - max(1, round(border * train_share))
        name = f"{log.fingerprint} of {total} sessions"
        slices.append(
            Slice(
                session_slice(ordered, first, border, f"{name}, {first} to {border}"),
                session_slice(ordered, border, end, f"{name}, {border} to {end}"),
                rules,
            )
        )
    return tuple(slices)
