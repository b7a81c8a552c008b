"""Settings of the preparation of a clickstream."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from session_rec.config import Config
from session_rec.sessions import SessionRules
from training.sources import CsvLayout

TsUnit = Literal["auto", "ms", "s", "us", "ns", "iso", "index"]
Fraction = Annotated[float, Field(ge=0, lt=1)]
FeatureName = Annotated[str, Field(min_length=1, max_length=64)]
_OUR_COLUMNS = frozenset({"session_id", "item_id", "ts", "type", "seq", "split"})


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


Time = Annotated[datetime, AfterValidator(_utc)]


class Columns(Config):
    """What the columns are called in the files."""

    session_id: str = "session_id"
    item_id: str = "item_id"
    ts: str = "ts"
    type: str | None = None
    """Event type; without it every event is a ``view``."""
    seq: str | None = None
    """The producer's order of a session's events within a millisecond; without it the order of
    the rows."""
    features: dict[FeatureName, str] = {}
    """Session features: our name -> the file's column."""

    @model_validator(mode="after")
    def _names(self) -> Columns:
        taken = [f for f in self.features if f.lower() in _OUR_COLUMNS]
        if taken:
            raise ValueError(f"a feature cannot be called {taken[0]!r}")
        if len({f.lower() for f in self.features}) < len(self.features):
            raise ValueError("the names of two features differ by case only")
        return self


class Csv(Config):
    """How CSV files are written."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    header: tuple[str, ...] = ()
    """Names of the columns of files that have no header line."""


class Rules(Config):
    """The session rules (:class:`session_rec.sessions.SessionRules`)."""

    name: Literal["shop", "pairs"] = "shop"
    max_length: int = Field(default=20, ge=1)
    """Events that a context holds at most."""
    inactivity_ms: int = Field(default=30 * 60 * 1000, ge=1)
    """A longer gap begins a new session under the same id."""
    horizon_ms: int = Field(default=24 * 60 * 60 * 1000, ge=1)
    """Events older than this are out of the context."""


class Bots(Config):
    """Sessions that no shopper made; they are dropped from the training and validation data."""

    max_events: int = Field(default=0, ge=0)
    """More events in one session than this; 0 never."""
    min_seconds_per_event: float = Field(default=0, ge=0)
    """Less than this between two events on average; 0 never."""
    fast_events: int = Field(default=10, ge=2)
    """Events a session must have before its speed says anything."""


class Split(Config):
    """Which sessions are held out: the newest, by the time of their first event.

    Either by days or by fractions of the sessions. A session that crosses the border belongs to
    where it starts.
    """

    test_days: float | None = Field(default=None, ge=0)
    validation_days: float | None = Field(default=None, ge=0)
    test_fraction: Fraction | None = None
    validation_fraction: Fraction | None = None

    @property
    def by_days(self) -> bool:
        """Whether the borders are times; else they are ranks."""
        return self.test_days is not None or self.validation_days is not None

    @model_validator(mode="after")
    def _one_way(self) -> Split:
        fractions = (self.test_fraction, self.validation_fraction)
        if self.by_days and any(f is not None for f in fractions):
            raise ValueError("split by days or by fractions, not by both")
        if sum(f or 0 for f in fractions) >= 1:
            raise ValueError("the fractions leave nothing to train on")
        return self


class CatalogSource(Config):
    """An optional file of the items."""

    input: str
    """Parquet, CSV or JSON lines: a file, a glob or a directory."""
    item_id: str = "item_id"
    features: dict[FeatureName, str] = {"name": "name"}
    """Our name -> the file's column; ``name`` is what people are shown."""
    numbers: tuple[str, ...] = ()
    """The features that are numbers; all others are text."""

    @model_validator(mode="after")
    def _known(self) -> CatalogSource:
        unknown = [n for n in self.numbers if n not in self.features]
        if unknown:
            raise ValueError(f"{unknown[0]!r} in numbers is none of the features")
        if any(f.lower() == "item_id" for f in self.features):
            raise ValueError("a feature cannot be called 'item_id'")
        return self


class Engine(Config):
    """What DuckDB may use; what does not fit in memory goes to disk beside the output."""

    memory_limit: Annotated[str, Field(pattern=r"^[0-9.]+ ?[KMGT]i?B$")] = "2GB"
    threads: int = Field(default=0, ge=0)
    """0: one per core. The result does not depend on it."""


class PrepareConfig(Config):
    """How a clickstream becomes sessions."""

    input: str
    """A file, a glob or a directory of Parquet, CSV or JSON lines."""
    format: Literal["parquet", "csv", "jsonl"] | None = None
    """Where the file's ending does not say it."""
    columns: Columns = Columns()
    csv: Csv = Csv()
    ts_unit: TsUnit = "auto"
    """Unit of numeric times since 1970; ``index``: no clock, only an order (``pairs`` rules)."""
    max_malformed_share: float = Field(default=0.01, ge=0, le=1)
    """Lines that are no CSV row or JSON object are dropped and counted, up to this share."""
    max_unparsed_ts_share: float = Field(default=0.0, ge=0, le=1)
    """Rows whose time does not parse are dropped and counted, up to this share."""

    type_names: dict[str, str] = {}
    """The file's event types -> ours, such as ``transaction = "purchase"``."""
    keep_types: tuple[str, ...] = ()
    """Event types (our names) to keep; empty: all."""
    start: Time | None = None
    """Events before this time (UTC) are dropped."""
    end: Time | None = None
    """Events at or after this time (UTC) are dropped."""

    session_rules: Rules = Rules()
    bots: Bots = Bots()
    min_item_support: int = Field(default=1, ge=1)
    """Events that an item must have in the training and validation data together."""
    min_session_length: int = Field(default=2, ge=1)
    """Events that a session must have in the training and validation data."""
    max_passes: int = Field(default=20, ge=1)
    """Support, then length, is repeated until neither drops anything, at most so often."""
    split: Split = Split(test_fraction=0.1, validation_fraction=0.1)
    catalog: CatalogSource | None = None
    engine: Engine = Engine()

    @model_validator(mode="after")
    def _fits_together(self) -> PrepareConfig:
        if self.start and self.end and self.start >= self.end:
            raise ValueError("start must lie before end")
        if self.ts_unit == "index":
            if self.session_rules.name != "pairs":
                raise ValueError("ts_unit 'index' is no clock: set session_rules.name = 'pairs'")
            if self.split.by_days:
                raise ValueError("ts_unit 'index' is no clock: split by fractions")
        return self

    @property
    def rules(self) -> SessionRules:
        """The session rules as the engine knows them."""
        return SessionRules(**self.session_rules.model_dump())

    @property
    def csv_layout(self) -> CsvLayout:
        """How CSV files are written."""
        return CsvLayout(**self.csv.model_dump())

    def to_dict(self) -> dict[str, Any]:
        """What decides the result, as JSON values: all but ``engine``."""
        return self.model_dump(mode="json", exclude={"engine"})
