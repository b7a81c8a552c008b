"""The sections on quality: all questions, then slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from session_rec.report.html.bars import Bar, bars, legend
from session_rec.report.html.markup import Node, tag
from session_rec.report.html.parts import details, note, panel, section, strip, table
from session_rec.report.html.words import NBSP, interval, nice_ceiling, percent, range_label
from session_rec.report.report import Report
from session_rec.report.rows import Metric, Slice


def quality(report: Report) -> Element:
    """All models over all questions."""
    metrics = {(m.model, m.metric): m for m in report.metrics}
    names = list(dict.fromkeys(m.metric for m in report.metrics))
    shown = [n for n in names if n.startswith("hr@") or n in ("mrr@20", "ndcg@20")]
    best = {n: max(m.value for m in report.metrics if m.metric == n) for n in names}
    rows: list[list[Node]] = []
    for model in report.models:
        figures = [
            _figure(metrics[model.model, n], metrics[model.model, n].value == best[n])
            for n in shown
        ]
        others = (model.coverage, model.shown_popularity, model.fallback)
        rows.append([model.model, *figures, *map(percent, others)])
    hr = [metrics[m.model, "hr@20"] for m in report.models]
    overview = bars(
        [
            Bar(m.model, "", m.value, m.low, m.high, metrics[m.model, "mrr@20"].value, i == 0)
            for i, m in enumerate(hr)
        ],
        nice_ceiling(max(m.high for m in hr)),
        "HR@20 and MRR@20 of all models",
    )
    return section(
        "quality",
        "Quality",
        tag("div", overview, class_="overview"),
        legend(),
        table(
            ["model", *map(_title, shown), "coverage", "popularity", "fallback"],
            rows,
            "Figures of all models with their 95 % intervals, percent",
        ),
        note(
            "Percent, with the 95 % interval under each figure. Coverage: share of the catalog "
            "that stands in at least one slate of 20. Popularity: mean popularity rank of what is "
            "shown, percent of the catalog; chance shows 50. Fallback: contexts without a known "
            "item. Overlapping intervals do not say that models are equal: ",
            tag("code", "session-rec compare"),
            " tests the same sessions in pairs.",
        ),
    )


def slices(report: Report) -> Element:
    """All models by each slicing."""
    children: list[Node] = [legend()]
    for by in dict.fromkeys(s.by for s in report.slices):
        children += _slicing(report, by)
    for key, why in report.notes.items():
        by = key.removeprefix("slices by ")
        if by != key and not any(s.by == by for s in report.slices):
            children += [tag("h3", f"By {by}"), note(f"Not sliced. {why}")]
    return section("slices", "By kind of question", *children)


def _slicing(report: Report, by: str) -> list[Node]:
    of = {(s.slice, s.model, s.metric): s for s in report.slices if s.by == by}
    labels = list(dict.fromkeys(label for label, _, _ in of))
    models = [m.model for m in report.models]
    top = nice_ceiling(max(s.high for s in of.values() if s.metric == "hr@20"))
    hit_rates = {la: [of[la, m, "hr@20"].value for m in models] for la in labels}
    best = {la: max(v) if max(v) > min(v) else None for la, v in hit_rates.items()}
    shown = {la: la if by == "event type" else range_label(la) for la in labels}
    n = {la: of[la, models[0], "hr@20"].questions for la in labels}
    says = f"HR@20 and MRR@20 by {by}"
    panels = []
    for model in models:
        rows = []
        for la in labels:
            hr, mrr = of[la, model, "hr@20"], of[la, model, "mrr@20"]
            rows.append(
                Bar(shown[la], f"{n[la]:,}", hr.value, hr.low, hr.high, mrr.value,
                    hr.value == best[la])
            )  # fmt: skip
        panels.append(panel(model, bars(rows, top, f"{model}: {says}")))
    heads = [f"{m} {x}" for m in models for x in ("HR@20", "MRR@20")]
    numbers: list[list[Node]] = [
        [
            shown[la],
            f"{n[la]:,}",
            f"{of[la, models[0], 'hr@20'].sessions:,}",
            *(_figure(of[la, m, x], False) for m in models for x in ("hr@20", "mrr@20")),
        ]
        for la in labels
    ]
    return [
        tag("h3", f"By {by}"),
        note(
            report.notes[f"slices by {by}"],
            f" The small number is that of the questions; bars end at {percent(top, 0)}{NBSP}%.",
        ),
        strip(says, panels),
        details("All numbers", table([by, "questions", "sessions", *heads], numbers, says)),
    ]


def _figure(m: Metric | Slice, best: bool) -> Element:
    value = percent(m.value, 2)
    return tag(
        "span", tag("b", value) if best else value, tag("small", interval(m.low, m.high)),
        class_="figure",
    )  # fmt: skip


def _title(metric: str) -> str:
    return metric.upper()


def headline(report: Report) -> Sequence[Node]:
    """What was found, in a sentence."""
    hr = [m for m in report.metrics if m.metric == "hr@20"]
    first = hr[0]
    said: list[Node] = [
        tag("b", first.model),
        " has the next item among its first 20 in ",
        tag("b", f"{percent(first.value)}{NBSP}%"),
        f" of the questions ({interval(first.low, first.high)})",
    ]
    if len(hr) > 1:
        second = hr[1]
        said.append(
            f"; {second.model} comes next with {percent(second.value)}{NBSP}% "
            f"({interval(second.low, second.high)})"
        )
    return [*said, "."]
