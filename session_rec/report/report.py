"""Everything that a report says, as plain data; the page and the JSON are made from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from session_rec.errors import UserError
from session_rec.evaluation.names import distinct_names
from session_rec.evaluation.outcomes import Outcomes
from session_rec.report import rows
from session_rec.report.calibration import calibration_bins, calibration_error, first_item_hits
from session_rec.report.directories import Directory, checks, epochs, read_directories
from session_rec.report.examples import choose_sessions, clicks
from session_rec.report.given import by_name, read_outcomes
from session_rec.report.slates import concentration, gini, popularity_shares, shown_counts
from session_rec.report.slices import slice_rows, slicings
from session_rec.report.speed import read_costs, read_replay

if TYPE_CHECKING:
    import pandas as pd

#: Version of the JSON's keys; it grows when one is renamed, dropped, or means something else.
SCHEMA_VERSION = 1

#: Called with the number of steps just done; there are as many as :func:`steps` says.
Progress = Callable[[int], None]

#: The tables, by their key in the JSON and among the frames, with the class of their rows.
TABLES: dict[str, type[msgspec.Struct]] = {
    "models": rows.Model,
    "metrics": rows.Metric,
    "slices": rows.Slice,
    "calibration": rows.CalibrationBin,
    "concentration": rows.Concentration,
    "popularity_shares": rows.PopularityShare,
    "replays": rows.Replay,
    "latency": rows.Latency,
    "costs": rows.Cost,
    "training": rows.Epoch,
    "examples": rows.Click,
    "certificates": rows.Check,
}


class Report(msgspec.Struct, frozen=True):
    """What several models answered to the same questions, looked at from all sides.

    ``Report.of`` makes it; :meth:`to_dict`, :meth:`frames` and :meth:`html` give it away. Its
    tables are :data:`TABLES`, described in ``docs/report.md``.

    Attributes:
        protocol: how the questions were asked and ranked, equal for all models.
        notes: for each thing that is not in the report, why it is not; and how the examples were
            chosen (``examples``) and what each slicing is (``slices by …``).

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> report = Report.of([toy_outcomes(toy_recommender("pear plum pear"), "plum pear")])
    >>> [(row.metric, row.value) for row in report.metrics if row.metric == "hr@1"]
    [('hr@1', 1.0)]
    """

    schema_version: int
    protocol: dict[str, Any]
    models: tuple[rows.Model, ...]
    metrics: tuple[rows.Metric, ...]
    slices: tuple[rows.Slice, ...]
    calibration: tuple[rows.CalibrationBin, ...]
    concentration: tuple[rows.Concentration, ...]
    popularity_shares: tuple[rows.PopularityShare, ...]
    replays: tuple[rows.Replay, ...]
    latency: tuple[rows.Latency, ...]
    costs: tuple[rows.Cost, ...]
    training: tuple[rows.Epoch, ...]
    examples: tuple[rows.Click, ...]
    certificates: tuple[rows.Check, ...]
    notes: dict[str, str]

    @classmethod
    def of(
        cls,
        outcomes: Sequence[Outcomes | Path | str],
        *,
        directories: Sequence[Path | str] = (),
        replays: Sequence[Path | str] = (),
        costs: Path | str | None = None,
        examples: int = 6,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Report:
        """The report on the models whose ``outcomes`` are given.

        Args:
            outcomes: of each model, or files of ``evaluate --save``, or directories of them.
            directories: of the models, as many as there are: for product names, training curves,
                certificates and the popularity of slates.
            replays: files of ``replay --json``.
            costs: the file of ``evaluate --cost --json``.
            examples: how many sessions to show.
            seed: what the sessions are drawn with.

        Raises:
            UnlikeProtocolsError: the models were not measured alike; the fields are named.
            DataError: no outcomes, a file that cannot be used, one model or replay given twice.
            BundleError: a model directory is missing or was changed.
        """
        models = by_name(read_outcomes(outcomes))
        best, reference = next(iter(models.items()))
        names = {o.header.fingerprint: name for name, o in models.items()}
        protocols = {name: o.header.protocol for name, o in models.items()}
        found = read_directories([Path(d) for d in directories], names)
        recorded = [Path(r) for r in replays]
        titles = distinct_names([path.with_suffix("") for path in recorded])
        played = [
            read_replay(path, title, names, reference.header.protocol)
            for path, title in zip(recorded, titles, strict=True)
        ]
        cost_rows = read_costs(Path(costs), protocols) if costs else []
        notes: dict[str, str] = {}

        slices: list[rows.Slice] = []
        divisions, not_made = slicings(reference)
        for slicing in divisions:
            slices += slice_rows(slicing, models)
            notes[f"slices by {slicing.by}"] = slicing.says
            _advance(progress)
        notes |= {f"slices by {by}": why for by, why in not_made.items()}

        model_rows, bins, curves, shares = [], [], [], []
        for name, o in models.items():
            hit = first_item_hits(o)
            own_bins = calibration_bins(name, o.confidence, hit, o.session)
            counts = shown_counts(o)
            model_rows.append(_model(name, o, own_bins, gini(counts), found.get(name)))
            bins += own_bins
            curves += concentration(name, counts)
            if found:
                # Without its own directory, the catalog of another model: the items are the same.
                any_directory = found.get(name) or next(iter(found.values()))
                shares += popularity_shares(name, o, any_directory.catalog)
            _advance(progress)

        choice = choose_sessions(reference, examples, seed)
        notes["examples"] = choice.says
        for key, (given, why) in {
            "popularity_shares": (found, "no model directory was given"),
            "training": (found, "no model directory was given"),
            "certificates": (found, "no model directory was given"),
            "latency": (played, "no replay was given"),
            "costs": (cost_rows, "no costs were given"),
        }.items():
            if not given:
                notes[key] = f"Not in this report: {why}."
        return cls(
            SCHEMA_VERSION,
            reference.header.protocol.to_dict(),
            tuple(model_rows),
            tuple(m for name, o in models.items() for m in _metrics(name, o)),
            tuple(slices),
            tuple(bins),
            tuple(curves),
            tuple(shares),
            tuple(replay for replay, _ in played),
            tuple(row for _, latency in played for row in latency),
            tuple(cost_rows),
            tuple(e for m in models if m in found for e in epochs(m, found[m].manifest)),
            tuple(clicks(best, reference, choice.sessions, _namer(found, best))),
            tuple(c for m in models if m in found for c in checks(m, found[m].manifest)),
            notes,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values by the keys of ``docs/report.md``: a table is a list of its rows."""
        value: dict[str, Any] = msgspec.to_builtins(self)
        return value

    def frames(self) -> dict[str, pd.DataFrame]:
        """Each table of :data:`TABLES` as a data frame, its columns the fields of the rows.

        Raises:
            UserError: pandas, which is not part of the base install, is missing.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise UserError(
                "pandas is not installed: data frames need it, pip install 'session-rec[train]'"
            ) from None
        return {
            key: pd.DataFrame(
                [msgspec.structs.asdict(row) for row in getattr(self, key)],
                columns=kind.__struct_fields__,
            )
            for key, kind in TABLES.items()
        }

    def html(self) -> bytes:
        """One HTML file, UTF-8, that loads nothing: the same bytes for the same report."""
        from session_rec.report.html.page import page

        return page(self)


def _metrics(name: str, o: Outcomes) -> list[rows.Metric]:
    figures = o.header.figures
    return [
        rows.Metric(name, metric, value, *figures["intervals"][metric])
        for metric, value in sorted(figures["metrics"].items(), key=_metric_order)
    ]


def _metric_order(figure: tuple[str, float]) -> tuple[str, int]:
    name, _, k = figure[0].partition("@")
    return name, int(k)


def _model(
    name: str,
    o: Outcomes,
    bins: list[rows.CalibrationBin],
    gini: float,
    directory: Directory | None,
) -> rows.Model:
    figures, n = o.header.figures, len(o)
    manifest = directory.manifest if directory else None
    settings = manifest.training.get("settings", {}) if manifest else {}
    return rows.Model(
        name,
        o.header.kind,
        o.header.fingerprint,
        figures["coverage@20"],
        figures["shown_popularity@20"],
        gini,
        figures["fallback"],
        sum(b.questions * b.confidence for b in bins) / n,
        sum(b.questions * b.hit_rate for b in bins) / n,
        calibration_error(bins),
        manifest.data_fingerprint if manifest else None,
        manifest.rules_fingerprint if manifest else None,
        settings.get("seed"),
    )


def _namer(found: dict[str, Directory], model: str) -> Callable[[str], str]:
    """What an item id is called: the name in the model's catalog or in another one, else the id."""
    catalogs = [d.catalog for name, d in sorted(found.items(), key=lambda f: f[0] != model)]

    def name(item: str) -> str:
        for catalog in catalogs:
            row = catalog.row(item)
            if row >= 0 and catalog.name(row) != item:
                return catalog.name(row)
        return item

    return name


def _advance(progress: Progress | None) -> None:
    if progress is not None:
        progress(1)
