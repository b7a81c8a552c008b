"""Figures as a table that a person reads, with the protocol under it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from session_rec.evaluation.cost import Cost
from session_rec.evaluation.evaluate import SLATE, Evaluation
from session_rec.evaluation.protocol import Protocol


def percent(value: float) -> str:
    """A fraction as percent with two digits.

    >>> percent(0.65034)
    '65.03'
    """
    return f"{100 * value:.2f}"


def evaluation_table(rows: Sequence[Evaluation], costs: Sequence[Cost | None] = ()) -> Table:
    """One line per model; the interval stands as plus or minus half its width.

    ``costs``, where given, is parallel to ``rows``.

    >>> from rich.console import Console
    >>> from session_rec.toy import toy_evaluation, toy_recommender
    >>> evaluated = toy_evaluation(toy_recommender("fig fig pear plum"), "plum fig", "pear fig")
    >>> Console(width=80, force_terminal=False).print(evaluation_table([evaluated]))
    Next-item quality, percent
    ...
    toy 100.00 100.00 ±0.00 100.00 ±0.00 100.00 100.0 33.3
    ...
    """
    timed = any(costs)
    # 80 columns are all that a terminal may have: what it costs stands in the place of less.
    last_columns = (
        "ms: per context, alone and in a batch of 64."
        if timed
        else f"cov.: share of the catalog in slates of {SLATE}; pop.: mean popularity rank of what "
        "is shown, percent of the catalog."
    )
    table = Table(
        title="Next-item quality, percent",
        caption=escape(
            f"{protocol_text([r.protocol for r in rows])} ± half the interval: "
            f"{rows[0].protocol.interval}. {last_columns}"
        ),
        box=SIMPLE_HEAD,
        # Without the usual space on both sides of each figure all of them fit into 80 columns.
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    names = [
        "HR@1",
        "HR@20",
        "MRR@20",
        "NDCG@20",
        *(("ms", "ms/64") if timed else ("cov.", "pop.")),
    ]
    table.add_column("model", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for r, cost in zip_longest(rows, costs):
        m = r.metrics
        last = (
            (f"{cost.single_p50:.2f}", f"{cost.batch_p50:.2f}")
            if timed and cost
            else (f"{100 * r.coverage:.1f}", f"{100 * r.shown_popularity:.1f}")
        )
        table.add_row(
            escape(r.model),
            percent(m["hr@1"]),
            with_interval(m["hr@20"], r.intervals["hr@20"]),
            with_interval(m["mrr@20"], r.intervals["mrr@20"]),
            percent(m["ndcg@20"]),
            *last,
        )
    return table


def evaluation_line(row: Evaluation) -> str:
    """The two figures that are looked at first, with the gist of their protocol.

    >>> from session_rec.toy import toy_evaluation, toy_recommender
    >>> evaluation_line(toy_evaluation(toy_recommender("fig fig pear"), "pear fig"))
    'toy: HR@20 100.00 ±0.00, MRR@20 100.00 ±0.00 percent over 1 questions in 1 sessions, ...'
    """
    p = row.protocol
    return (
        f"{p.split}: HR@20 {with_interval(row.metrics['hr@20'], row.intervals['hr@20'])}, MRR@20 "
        f"{with_interval(row.metrics['mrr@20'], row.intervals['mrr@20'])} percent over "
        f"{p.questions:,} questions in {p.sessions:,} sessions, all items ranked, ties pessimistic"
    )


def with_interval(value: float, bounds: tuple[float, float]) -> str:
    """``65.03 ±0.95`` in percent: the figure and half the width of its interval.

    >>> with_interval(0.6503, (0.6408, 0.6598))
    '65.03 ±0.95'
    """
    return f"{percent(value)} ±{percent((bounds[1] - bounds[0]) / 2)}"


def protocol_text(protocols: Sequence[Protocol]) -> str:
    """The protocol of a table's rows, which differ in the ranked items at most, in a few lines.

    >>> from session_rec.toy import toy_evaluation, toy_recommender
    >>> protocol_text([toy_evaluation(toy_recommender("fig fig pear"), "pear fig").protocol])
    '1 questions in 1 sessions of toy (...): every position with a next event in its session;
    all items of the catalog, seen items included (2 items); ties pessimistic: ...'
    """
    p = protocols[0]
    items = sorted({f"{q.items:,}" for q in protocols})
    ranked = f"{' or '.join(items)} items"
    if len({q.catalog for q in protocols}) > 1:
        ranked += ", not the same of every model: ranks among fewer are better"
    rules = ", ".join(f"{k} {v}" for k, v in p.rules.items())
    return (
        f"{p.questions:,} questions in {p.sessions:,} sessions of {p.split} ({p.data[:12]}): "
        f"{p.positions}; {p.candidates} ({ranked}); ties {p.ties}; unknown target "
        f"{p.unknown_targets}. Rules: {rules}; min_prefix {p.min_prefix}."
    )
