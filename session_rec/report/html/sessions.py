"""The section with example sessions, click by click."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from session_rec.report.examples import TOP
from session_rec.report.html.markup import Node, tag
from session_rec.report.html.parts import note, section
from session_rec.report.html.words import count
from session_rec.report.report import Report
from session_rec.report.rows import Click


def examples(report: Report) -> Element:
    """Each example session: what was clicked, what was shown, what came next."""
    if not report.examples:
        return section(
            "examples", "Sessions", note("No session has a suitable number of questions.")
        )
    model = report.examples[0].model
    timed = not any(key == "slices by time of day" for key in _untimed(report))
    numbers = dict.fromkeys(c.example for c in report.examples)
    return section(
        "examples",
        "Sessions",
        note(
            f"What was clicked, and beside each click the first {TOP} items that ",
            tag("b", model),
            " showed then; the one that really came next is marked ",
            tag("span", "✓", class_="yes"),
            f". {report.notes['examples']}",
        ),
        tag(
            "div",
            *(_session([c for c in report.examples if c.example == e], timed) for e in numbers),
            class_="sessions",
        ),
    )


def _untimed(report: Report) -> list[str]:
    sliced = {s.by for s in report.slices}
    return [k for k in report.notes if k.removeprefix("slices by ") not in sliced]


def _session(clicks: Sequence[Click], timed: bool) -> Element:
    hits = sum(c.target in c.shown for c in clicks)
    items: list[Node] = []
    before: Click | None = None
    for c in clicks:
        pause = before is not None and c.position != before.position + 1
        if before is not None and pause:
            items += [_end(before), tag("li", "after a pause", class_="pause")]
        items.append(_click(c, None if pause else before, timed))
        before = c
    items.append(_end(clicks[-1]))
    head = tag(
        "header",
        tag("h3", f"Session {clicks[0].session_id}"),
        tag("p", f"{count(hits, 'hit')} in {count(len(clicks), 'question')}"),
    )
    return tag("article", head, tag("ol", *items, class_="clicks"), class_="session")


def _click(c: Click, before: Click | None, timed: bool) -> Element:
    about = c.type
    if timed and before is not None:
        about += f", {_after(c.ts - before.ts)}"
    shown = [
        tag(
            "li",
            name,
            tag("span", " ✓", class_="yes", title="came next") if item == c.target else None,
            class_="hit" if item == c.target else None,
        )
        for item, name in zip(c.shown, c.shown_names, strict=True)
    ]
    if c.target in c.shown:
        rest = None
    elif c.rank is None:
        rest = tag("p", "next: ", tag("b", c.target_name), ", not in the catalog", class_="miss")
    else:
        rest = tag("p", "next: ", tag("b", c.target_name), f", rank {c.rank:,}", class_="miss")
    return tag(
        "li",
        tag("div", tag("b", c.item_name), tag("small", about), class_="clicked"),
        tag("div", tag("ol", *shown), rest, class_="shown"),
    )


def _end(c: Click) -> Element:
    return tag("li", tag("div", tag("b", c.target_name), class_="clicked"), class_="last")


def _after(ms: int) -> str:
    """How much later, shortly."""
    seconds = round(ms / 1000)
    if seconds < 60:
        return f"{seconds} s later"
    return f"{seconds // 60} min {seconds % 60:02} s later"
