"""A comparison as a table that a person reads, with its sentences and its method."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from session_rec.evaluation.comparison import Comparison
from session_rec.evaluation.table import percent, protocol_text


def comparison_table(c: Comparison) -> Table:
    """A line per metric; rates in percent, differences in points of it.

    >>> from rich.console import Console
    >>> from session_rec.toy import toy_comparison
    >>> Console(width=80, force_terminal=False).print(comparison_table(toy_comparison()))
    B = B against A = A
    ...
    HR@1 0.00 100.00 +100.00 +100.00 to +100.00 0.5 2/0/0
    """
    # Eighty columns are all that a terminal may have: names, of any length, stand in the title.
    table = Table(
        title=escape(f"B = {c.b} against A = {c.a}"), box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("percent", no_wrap=True)
    interval = f"{100 * c.level:g} % interval"
    for name in ("A", "B", "B - A", interval, "p", "B more/less/same"):
        table.add_column(name, justify="right", no_wrap=True)
    for d in c.differences:
        table.add_row(
            d.metric.upper(),
            percent(d.a),
            percent(d.b),
            f"{100 * d.difference:+.2f}",
            f"{100 * d.low:+.2f} to {100 * d.high:+.2f}",
            f"{d.p_adjusted:.2g}",
            f"{d.wins}/{d.losses}/{d.ties}",
        )
    return table


def method_text(c: Comparison) -> str:
    """How the numbers of the table came about.

    >>> from session_rec.toy import toy_comparison
    >>> method_text(toy_comparison())
    '2 questions in 2 sessions of toy ...; p: two-sided, signs of whole sessions flipped;
    100 resamples, seed 0. more/less/same: in how many sessions.'
    """
    text = (
        f"{protocol_text([c.protocol])} Paired by question; interval: percentile, sessions "
        f"resampled; p: two-sided, signs of whole sessions flipped; {c.resamples:,} resamples, "
        f"seed {c.seed}"
    )
    if c.comparisons > 1:
        text += f"; p adjusted for {c.comparisons} models by Holm's method"
    return text + ". more/less/same: in how many sessions."


def candidates_note(c: Comparison) -> str:
    """What to know where the two ranked unlike items; empty where they ranked the same.

    >>> from dataclasses import replace
    >>> from session_rec.toy import toy_comparison
    >>> candidates_note(toy_comparison())
    ''
    >>> candidates_note(replace(toy_comparison(), unlike={"items": (3, 2)}))
    'A and B did not rank the same items (3 and 2): part of the difference may be due to that.'
    """
    if not c.unlike:
        return ""
    a, b = c.unlike.get("items", (c.protocol.items, c.protocol.items))
    return (
        f"{c.a} and {c.b} did not rank the same items ({a:,} and {b:,}): "
        "part of the difference may be due to that."
    )
