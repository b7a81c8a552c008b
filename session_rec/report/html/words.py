"""Numbers as people read them."""

from __future__ import annotations

import re

NBSP = "\N{NO-BREAK SPACE}"
MISSING = DASH = "\N{EN DASH}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as percent without the sign.

    >>> percent(0.4567), percent(None)
    ('45.7', '–')
    >>> percent(1.0)
    '100'
    """
    if value is None:
        return MISSING
    text = f"{100 * value:.{digits}f}"
    return "100" if float(text) == 100 else text


def interval(low: float, high: float, digits: int = 1) -> str:
    """Both ends as percent.

    >>> interval(0.1, 0.205)
    '10.0–20.5'
    """
    return f"{percent(low, digits)}{DASH}{percent(high, digits)}"


def milliseconds(value: float) -> str:
    """Three digits that matter.

    >>> milliseconds(0.01234), milliseconds(3.14159), milliseconds(1234.5)
    ('0.0123', '3.14', '1,234')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def count(value: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    >>> count(1, "session"), count(2000, "session")
    ('1 session', '2,000 sessions')
    """
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def short(fingerprint: str, digits: int = 12) -> str:
    """The beginning of a fingerprint."""
    return fingerprint[:digits]


def range_label(label: str) -> str:
    """The label of a slice with the dash of a range, kept on one line.

    >>> range_label("5-20 %")
    '5–20\xa0%'
    """
    return re.sub(r"(?<=\d)-(?=\d)", DASH, label).replace(" %", NBSP + "%")


def nice_ceiling(value: float) -> float:
    """The next of 0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 0.8, 1, times a power of ten, at or above.

    >>> nice_ceiling(0.37), nice_ceiling(0.061), nice_ceiling(7)
    (0.4, 0.08, 8.0)
    """
    if value <= 0:
        return 1.0
    scale = 1.0
    while value > scale:
        scale *= 10
    while value <= scale / 10:
        scale /= 10
    steps = (0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 0.8, 1.0)
    return next(round(s * scale, 12) for s in steps if value <= s * scale * (1 + 1e-9))
