"""Rows of results, and their tables: ours beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.ledger import Reads
from benchmarks.published import KnownData
from session_rec.evaluation.evaluate import Evaluation


class Row(msgspec.Struct, frozen=True):
    """Figures of one trained model on one split; rates in percent, intervals at 95 %.

    Attributes:
        model: name of the recipe.
        kind: model kind.
        split: ``validation`` or ``test``.
        data: name of the data file.
        data_fingerprint: sha256 of its content.
        positions, sessions: how many were scored.
        min_prefix: clicks before a scored one, at least.
        hr20, mrr20: in percent.
        hr20_interval, mrr20_interval: their bounds, whole sessions resampled.
        train_seconds: wall-clock seconds of training, over all restarts.
        score_seconds: wall-clock seconds of scoring and ranking all items for all positions.
        config_hash: names kind and settings without the seed.
        seed: None for a model that draws nothing at random.
        settings: what it was trained with.
        deterministic: whether the same command gives the same bits.
        protocol: what the figures mean.
    """

    model: str
    kind: str
    split: str
    data: str
    data_fingerprint: str
    positions: int
    sessions: int
    min_prefix: int
    hr20: float
    mrr20: float
    hr20_interval: tuple[float, float]
    mrr20_interval: tuple[float, float]
    train_seconds: float
    score_seconds: float
    config_hash: str
    seed: int | None
    settings: dict[str, Any]
    deterministic: bool
    protocol: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-able values."""
        return msgspec.structs.asdict(self)


def percents(result: Evaluation) -> dict[str, Any]:
    """The fields of a row that come from an evaluation."""
    return {
        "positions": result.protocol.questions,
        "sessions": result.protocol.sessions,
        "min_prefix": result.protocol.min_prefix,
        "hr20": round(100 * result.metrics["hr@20"], 4),
        "mrr20": round(100 * result.metrics["mrr@20"], 4),
        "hr20_interval": _percent_bounds(result.intervals["hr@20"]),
        "mrr20_interval": _percent_bounds(result.intervals["mrr@20"]),
        "score_seconds": round(result.seconds, 2),
        "protocol": result.protocol.to_dict(),
    }


def results_table(rows: Sequence[Row], known: KnownData | None, reads: Sequence[Reads]) -> Table:
    """Our rows; ``reads`` is parallel to ``rows``."""
    first = rows[0]
    table = Table(
        title=f"{known.name if known else first.data}: {first.split}, percent",
        caption=_caption(first, known),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("model", no_wrap=True)
    for name in ("HR@20", "MRR@20", "train s", "recipe", "seed", "reads"):
        table.add_column(name, justify="right", no_wrap=True)
    for row, read in zip(rows, reads, strict=True):
        table.add_row(
            row.model if row.deterministic else f"{row.model} (not reproducible)",
            _with_interval(row.hr20, row.hr20_interval),
            _with_interval(row.mrr20, row.mrr20_interval),
            f"{row.train_seconds:.1f}",
            row.config_hash[:8],
            "-" if row.seed is None else str(row.seed),
            f"{read.recipe} of {read.kind}",
        )
    return table


def published_table(known: KnownData) -> Table:
    """What others measured on the test split of this data."""
    table = Table(
        title=f"{known.name}: published, test, {known.positions:,} positions, percent",
        box=SIMPLE_HEAD,
    )
    table.add_column("system")
    for name in ("HR@20", "MRR@20"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("source")
    for p in known.rows:
        table.add_row(p.system, f"{p.hr20:.2f}", f"{p.mrr20:.2f}", p.source)
    return table


def _caption(row: Row, known: KnownData | None) -> str:
    p = row.protocol
    rules = ", ".join(f"{k} {v}" for k, v in p["rules"].items())
    text = (
        f"{row.positions:,} positions in {row.sessions:,} sessions of {row.split} "
        f"({p['data'][:12]}): {p['positions']}, min_prefix {row.min_prefix}; {p['candidates']}; "
        f"ties {p['ties']}; unknown target {p['unknown_targets']}. Rules: {rules}. ± half the "
        f"interval: {p['interval']}. reads: how often this recipe, of all recipes of its "
        "kind, was scored on the test split of this data (benchmarks/ledger.jsonl)."
    )
    if known is not None and row.split != "test":
        text += " Published rows are of the test split: they do not compare with these."
    return text


def _percent_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    return round(100 * bounds[0], 4), round(100 * bounds[1], 4)


def _with_interval(value: float, bounds: tuple[float, float]) -> str:
    return f"{value:.2f} ±{(bounds[1] - bounds[0]) / 2:.2f}"
