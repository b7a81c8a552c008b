"""HTML and SVG as trees: what is text is escaped when the tree is written, so nothing can be
forgotten."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

#: An element, text to be escaped, or nothing.
Node = Element | str | None


def tag(name: str, *children: Node, **attributes: str | float | None) -> Element:
    """An element with children and attributes; of an attribute None leaves it out.

    ``class_`` is the attribute ``class``, ``aria_label`` is ``aria-label``. Floats are rounded to
    two digits.

    >>> write(tag("p", "a < b", tag("b", "!"), class_="note", x=1 / 3))
    '<p class="note" x="0.33">a &lt; b<b>!</b></p>'
    """
    element = Element(
        name,
        {
            k.rstrip("_").replace("_", "-"): v if isinstance(v, str) else number(v)
            for k, v in attributes.items()
            if v is not None
        },
    )
    return add(element, *children)


def add(element: Element, *children: Node) -> Element:
    """``element`` with more children, text among them."""
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif child is not None and len(element):
            element[-1].tail = (element[-1].tail or "") + child
        elif child is not None:
            element.text = (element.text or "") + child
    return element


def number(value: float) -> str:
    """With two digits at most, and none that say nothing.

    >>> number(1.5), number(2.0), number(-0.001)
    ('1.5', '2', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def write(element: Element) -> str:
    """The element as HTML."""
    return tostring(element, encoding="unicode", method="html")
