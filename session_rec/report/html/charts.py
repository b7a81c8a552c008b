"""Charts as inline SVG: drawn once, at one size, coloured by the page's style sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from session_rec.report.html.markup import Node, add, number, tag

#: A point in the units of the data.
Point = tuple[float, float]
Tick = tuple[float, str]


@dataclass
class Chart:
    """A chart of ``width`` × ``height`` pixels with marks placed in the units of the data.

    Attributes:
        says: what it shows, for who cannot see it.
        x, y: from and to, in the units of the data.
        x_ticks, y_ticks: where grid lines are, and their labels.
        x_title, y_title: what the axes are.
        transform: of an x before it is placed: a logarithm, for instance.
    """

    says: str
    x: tuple[float, float]
    y: tuple[float, float]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    x_title: str = ""
    y_title: str = ""
    width: int = 300
    height: int = 220
    left: int = 38
    transform: Callable[[float], float] = float
    marks: list[Node] = field(default_factory=list)
    #: room for labels over, beside and under the plot
    _top, _right, _bottom = 22, 10, 36

    def at(self, point: Point) -> Point:
        """Where a point of the data stands, pixels from the top left."""
        f, (x0, x1), (y0, y1) = self.transform, self.x, self.y
        across = (f(point[0]) - f(x0)) / (f(x1) - f(x0))
        up = (point[1] - y0) / (y1 - y0)
        wide = self.width - self.left - self._right
        high = self.height - self._top - self._bottom
        return self.left + across * wide, self._top + (1 - up) * high

    def line(self, points: Sequence[Point], class_: str) -> None:
        """A line through points."""
        path = " ".join(f"{number(x)},{number(y)}" for x, y in map(self.at, points))
        self.marks.append(tag("polyline", points=path, class_=class_))

    def segment(self, a: Point, b: Point, class_: str) -> None:
        """A straight line between two points."""
        (x1, y1), (x2, y2) = self.at(a), self.at(b)
        self.marks.append(tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_))

    def dot(self, point: Point, class_: str, says: str = "") -> None:
        """A dot that says something when pointed at."""
        x, y = self.at(point)
        title = tag("title", says) if says else None
        self.marks.append(tag("circle", title, cx=x, cy=y, r=3.5, class_=class_))

    def box(self, a: Point, b: Point, class_: str, says: str = "", gap: float = 0.0) -> None:
        """A rectangle between two corners, ``gap`` pixels narrower."""
        (x1, y1), (x2, y2) = self.at(a), self.at(b)
        title = tag("title", says) if says else None
        self.marks.append(
            tag(
                "rect", title, x=min(x1, x2) + gap / 2, y=min(y1, y2),
                width=max(abs(x2 - x1) - gap, 0.5), height=abs(y2 - y1), class_=class_,
            )
        )  # fmt: skip

    def svg(self) -> Element:
        """The chart as an element."""
        root = tag(
            "svg",
            viewBox=f"0 0 {self.width} {self.height}",
            role="img",
            aria_label=self.says,
            class_="chart",
            style=f"max-width:{self.width * 1.25:.0f}px",
        )
        (left, _), (right, bottom) = (
            self.at((self.x[0], self.y[1])),
            self.at((self.x[1], self.y[0])),
        )
        for value, label in self.y_ticks:
            _, y = self.at((self.x[0], value))
            add(
                root,
                tag("line", x1=left, x2=right, y1=y, y2=y, class_="grid"),
                tag("text", label, x=left - 6, y=y + 3.5, text_anchor="end", class_="tick"),
            )
        for value, label in self.x_ticks:
            x, _ = self.at((value, self.y[0]))
            add(
                root,
                tag("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="axis"),
                tag("text", label, x=x, y=bottom + 16, text_anchor="middle", class_="tick"),
            )
        add(
            root,
            tag("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis"),
            *self.marks,
            tag("text", self.y_title, x=0, y=11, class_="title") if self.y_title else None,
            tag("text", self.x_title, x=right, y=self.height - 4, text_anchor="end", class_="title")
            if self.x_title
            else None,
        )
        return root


def percent_ticks(top: float, parts: int = 4) -> list[Tick]:
    """Ticks from 0 to ``top``, labelled as percent.

    >>> percent_ticks(0.4, 2)
    [(0.0, '0'), (0.2, '20'), (0.4, '40')]
    """
    return [(top * i / parts, number(100 * top * i / parts)) for i in range(parts + 1)]
