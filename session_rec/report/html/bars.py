"""Bars of two lengths: MRR within hit rate, which is never the shorter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from session_rec.report.html.markup import Node, number, tag
from session_rec.report.html.words import interval, percent


@dataclass(frozen=True)
class Bar:
    """A row of :func:`bars`; fractions.

    Attributes:
        label, aside: what it is of, and something small beside it.
        hr, low, high: HR@20 with its interval.
        mrr: MRR@20.
        best: no other model has more here.
    """

    label: str
    aside: str
    hr: float
    low: float
    high: float
    mrr: float
    best: bool = False


def bars(rows: Sequence[Bar], top: float, says: str) -> Element:
    """A table with a bar in each row; ``top`` is the fraction at the right end."""
    head = tag(
        "tr",
        tag("th", tag("span", "slice", class_="unseen"), scope="col"),
        tag("th", tag("span", "bar", class_="unseen"), scope="col"),
        tag("th", "HR", scope="col", class_="n"),
        tag("th", "MRR", scope="col", class_="n"),
    )
    body = [
        tag(
            "tr",
            tag(
                "th",
                row.label,
                tag("small", row.aside) if row.aside else None,
                scope="row",
            ),
            tag("td", _track(row, top), class_="track"),
            tag("td", tag("b" if row.best else "span", percent(row.hr)), class_="n"),
            tag("td", percent(row.mrr), class_="n"),
            title=f"HR@20 {percent(row.hr)} ({interval(row.low, row.high)}), "
            f"MRR@20 {percent(row.mrr)}",
        )
        for row in rows
    ]
    caption: Node = tag("caption", says, class_="unseen")
    return tag("table", caption, tag("thead", head), tag("tbody", *body), class_="bars")


def _track(row: Bar, top: float) -> Element:
    def share(value: float) -> str:
        return f"{number(100 * min(value / top, 1))}%"

    return tag(
        "div",
        tag("i", class_="hr", style=f"width:{share(row.hr)}"),
        tag("i", class_="mrr", style=f"width:{share(row.mrr)}"),
        tag("i", class_="ci", style=f"left:{share(row.low)};width:{share(row.high - row.low)}")
        if row.high > row.low
        else None,
        aria_hidden="true",
    )


def legend() -> Element:
    """What the two lengths of a bar are."""
    return tag(
        "p",
        tag("i", class_="key hr"), " HR@20 ",
        tag("i", class_="key mrr"), " MRR@20 ",
        tag("i", class_="key ci"), " 95 % interval of HR@20, sessions resampled ",
        tag("b", "bold"), " best of the models here. All in percent.",
        class_="legend",
    )  # fmt: skip
