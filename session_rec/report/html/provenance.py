"""The section that says what the numbers mean and where they are from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from session_rec.report.html.markup import Node, tag
from session_rec.report.html.parts import note, section, table
from session_rec.report.html.words import MISSING, short
from session_rec.report.report import Report
from session_rec.report.rows import Check

#: What a field of the protocol is called on the page, in the order shown; others come after.
_FIELDS = {
    "split": "split",
    "questions": "questions",
    "sessions": "sessions",
    "positions": "positions",
    "min_prefix": "events before a question",
    "candidates": "candidates",
    "items": "items ranked",
    "ties": "ties",
    "unknown_targets": "targets outside the catalog",
    "interval": "intervals",
    "data": "data (sha256)",
    "catalog": "items (fingerprint)",
}
_MARKS = {"passed": "✓", "failed": "✗"}


def protocol(report: Report) -> Element:
    """Protocol in full, fingerprints, certificates."""
    fields = dict(report.protocol)
    rules: Mapping[str, Any] = fields.pop("rules")
    order = [*_FIELDS, *(f for f in fields if f not in _FIELDS)]
    terms = [(_FIELDS.get(f, f), fields[f]) for f in order if f in fields]
    terms += [
        (f"session rules: {name}", value) for name, value in sorted(rules.items(), key=_name_first)
    ]
    definitions: list[Node] = []
    for name, value in terms:
        definitions += [tag("dt", name), tag("dd", _said(value))]
    body = [
        [
            m.model,
            m.kind,
            tag("code", m.fingerprint),
            tag("code", short(m.training_data)) if m.training_data else MISSING,
            tag("code", m.rules) if m.rules else MISSING,
            MISSING if m.seed is None else str(m.seed),
        ]
        for m in report.models
    ]
    return section(
        "protocol",
        "Protocol",
        note("Figures compare only where all of this is equal, and the models here share it."),
        tag("dl", *definitions),
        tag("h3", "Models"),
        table(
            ["model", "kind", "fingerprint", "trained on", "session rules", "seed"],
            body,
            "Fingerprints of the models",
            words=6,
        ),
        tag("h3", "Leakage certificates"),
        note(
            "What was checked before a model got its directory, so that no figure of it is better "
            "than it should be."
        ),
        *_certificates(report),
    )


def _certificates(report: Report) -> list[Node]:
    if "certificates" in report.notes:
        return [note(report.notes["certificates"])]
    parts: list[Node] = []
    for m in report.models:
        checks = [c for c in report.certificates if c.model == m.model]
        if checks:
            parts.append(
                tag("div", tag("h4", m.model), tag("ul", *map(_check, checks), class_="checks"))
            )
        elif m.training_data:
            parts.append(tag("div", tag("h4", m.model), note("Its manifest has no certificate.")))
        else:
            parts.append(tag("div", tag("h4", m.model), note("Its directory was not given.")))
    return [tag("div", *parts, class_="certificates")]


def _check(check: Check) -> Element:
    return tag(
        "li",
        tag("span", _MARKS.get(check.status, MISSING), class_=f"mark {check.status.split()[0]}"),
        tag("div", tag("b", check.check), f" {check.status}", tag("p", check.says)),
    )


def _name_first(rule: tuple[str, Any]) -> tuple[bool, str]:
    return rule[0] != "name", rule[0]


def _said(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
