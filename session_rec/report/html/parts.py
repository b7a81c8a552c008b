"""Parts that several sections of the page share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from session_rec.report.html.markup import Node, tag

#: Panels beside each other on a wide screen, by how many there are.
_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 3, 6: 3, 7: 4, 8: 4}


def section(key: str, title: str, *children: Node) -> Element:
    """A section of the page that the navigation can jump to."""
    return tag("section", tag("h2", title), *children, id=key)


def note(*words: Node) -> Element:
    """Words that explain a figure."""
    return tag("p", *words, class_="note")


def strip(says: str, panels: Sequence[Element]) -> Element:
    """Panels of equal size: side by side on a wide screen, to be swiped through on a narrow one."""
    columns = _COLUMNS.get(len(panels), 4)
    return tag(
        "div", *panels, class_="strip", style=f"--columns:{columns}", role="region",
        aria_label=says, tabindex="0",
    )  # fmt: skip


def panel(title: str, *children: Node, aside: str = "") -> Element:
    """A titled figure of a strip."""
    head = tag("figcaption", tag("b", title), tag("span", aside) if aside else None)
    return tag("figure", head, *children, class_="panel")


def table(
    head: Sequence[Node], body: Iterable[Sequence[Node]], says: str, *, words: int = 1
) -> Element:
    """A table that scrolls inside its own container; all but the first ``words`` columns are
    numbers."""

    def cell(name: str, c: int, content: Node) -> Element:
        scope = ("col" if name == "head" else "row") if name == "head" or c == 0 else None
        return tag("th" if scope else "td", content, scope=scope, class_="n" if c >= words else "w")

    rows = [tag("tr", *(cell("body", c, x) for c, x in enumerate(row))) for row in body]
    header = tag("thead", tag("tr", *(cell("head", c, x) for c, x in enumerate(head))))
    return tag(
        "div", tag("table", tag("caption", says, class_="unseen"), header, tag("tbody", *rows)),
        class_="scroll", role="region", aria_label=says, tabindex="0",
    )  # fmt: skip


def details(summary: str, *children: Node) -> Element:
    """Something to unfold."""
    return tag("details", tag("summary", summary), *children)
