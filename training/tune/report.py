"""What came of a search: a table, a JSON file, and the best settings as TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from session_rec.console import write_json
from session_rec.files import write_file
from training.tune.searches import Search
from training.tune.space import Value
from training.tune.study import Study, Trial
from training.tune.toml import toml_table


@dataclass(frozen=True)
class ModelReport:
    """What came of the search of one model.

    Attributes:
        search: what was searched.
        trials: those that are over.
        best: of those that are done; None where none is.
        importances: share of each setting in what made trials good.
    """

    search: Search
    trials: list[Trial]
    best: Trial | None
    importances: dict[str, float]

    @classmethod
    def of(cls, study: Study) -> ModelReport:
        """The report of a study as it stands."""
        return cls(study.search, study.trials, study.best, study.importances())

    @property
    def default(self) -> Trial | None:
        """The first trial, if it is done."""
        first = self.trials[:1]
        return first[0] if first and first[0].score is not None else None

    @property
    def seconds(self) -> float:
        """Wall-clock time of all trials."""
        return sum(t.seconds for t in self.trials)

    def count(self, state: str) -> int:
        """How many trials ended so."""
        return sum(t.state == state for t in self.trials)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values; ``settings`` are those of the best trial."""
        best, default = self.best, self.default
        return {
            "model": self.search.name,
            "kind": self.search.kind,
            "trials": len(self.trials),
            "done": self.count("done"),
            "pruned": self.count("pruned"),
            "failed": self.count("failed"),
            "best": best.to_dict() if best else None,
            "default": default.to_dict() if default else None,
            "settings": self.search.table(best.values) if best else None,
            "space": {k: str(d) for k, d in self.search.space.items()},
            "importances": self.importances,
            "seconds": round(self.seconds, 1),
            "all_trials": [t.to_dict() for t in self.trials],
        }


@dataclass(frozen=True)
class TuneReport:
    """What came of all searches.

    Attributes:
        protocol: metric, seed, data and slices: what the scores mean.
        models: in the order of the settings.
    """

    protocol: Mapping[str, Any]
    models: list[ModelReport]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {"protocol": dict(self.protocol), "models": [m.to_dict() for m in self.models]}

    def write(self, directory: Path) -> None:
        """Writes ``report.json`` and ``best.toml``, each whole or not at all."""
        write_json(directory / "report.json", self.to_dict())
        write_file(directory / "best.toml", self.best_toml().encode())

    def best_toml(self) -> str:
        """A table per model with its best settings."""
        p = self.protocol
        lines = [
            f"# Chosen by session-rec tune: the highest {p['metric']} on {p['scored']}",
            f"# of {p['name']} (percent; seed of the search {p['seed']}).",
            "# A model: session-rec train NAME --config THIS_FILE --set sessions=DIRECTORY",
        ]
        for model in self.models:
            best, default = model.best, model.default
            if best is None or best.score is None:
                lines += ["", f"# {model.search.name}: none of {len(model.trials)} trials was done"]
                continue
            first = "failed" if default is None else f"had {100 * (default.score or 0):.2f}"
            kind = {} if model.search.kind == model.search.name else {"kind": model.search.kind}
            lines += [
                "",
                f"# Trial {best.number} of {len(model.trials)}: {100 * best.score:.2f}; the "
                f"first, with the default settings, {first}.",
                toml_table(model.search.name, {**kind, **model.search.table(best.values)}),
            ]
        return "\n".join(lines) + "\n"

    def table(self) -> Table:
        """A row per model."""
        p = self.protocol
        table = Table(
            box=SIMPLE_HEAD,
            title=f"{p['metric']}, percent, on {p['scored']}",
            caption="default: the first trial. Every model had the same budget.",
            padding=(0, 1, 0, 0),
        )
        table.add_column("model", no_wrap=True)
        for name in ("trials", "pruned", "failed", "default", "best", "trial", "s"):
            table.add_column(name, justify="right", no_wrap=True)
        for m in self.models:
            table.add_row(
                m.search.name,
                *(str(n) for n in (len(m.trials), m.count("pruned"), m.count("failed"))),
                _percent(m.default),
                _percent(m.best),
                str(m.best.number) if m.best else "-",
                f"{m.seconds:.0f}",
            )
        return table

    def lines(self) -> list[str]:
        """What the best settings change, and which of all matter, a line per model."""
        lines = []
        for m in self.models:
            if m.best is not None:
                lines.append(f"{m.search.name}: {changes(m.search, m.best.values)}")
            if m.importances:
                first = list(m.importances.items())[:3]
                shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in first)
                lines.append(f"    matters most: {shares}")
        return lines


def changes(search: Search, values: Mapping[str, Value]) -> str:
    """The settings that differ from the first trial's, in words.

    >>> search = Search("s", "session-popularity", {}, {}, {"decay": 0.8})
    >>> changes(search, {"decay": 0.512345}), changes(search, {"decay": 0.8})
    ('decay=0.5123', 'the default')
    """
    parts = [
        f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={json.dumps(v)}"
        for k, v in search.changed(values).items()
    ]
    return ", ".join(parts) or "the default"


def _percent(trial: Trial | None) -> str:
    return "-" if trial is None or trial.score is None else f"{100 * trial.score:.2f}"
