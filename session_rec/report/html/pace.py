"""The sections on time: what an answer costs, and how training went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from session_rec.report.html.charts import Chart, percent_ticks
from session_rec.report.html.markup import number, tag
from session_rec.report.html.parts import details, note, panel, section, strip, table
from session_rec.report.html.words import DASH, MISSING, count, milliseconds, nice_ceiling, percent
from session_rec.report.report import Report
from session_rec.report.rows import Epoch, Latency, Replay

_OTHERS = ", which does not compare with the figures above: other sessions were replayed."


def speed(report: Report) -> Element:
    """Latencies of replays, and cost per context."""
    return section("speed", "Speed", tag("div", _latency(report), _costs(report), class_="pair"))


def _latency(report: Report) -> Element:
    title = tag("h3", "Latency")
    if not report.replays:
        return tag("div", title, note(report.notes["latency"]))
    panels = [
        panel(
            r.replay,
            _histogram(r, [b for b in report.latency if b.replay == r.replay]),
            tag(
                "p",
                f"{count(r.events, 'event')} at {r.events_per_second:,.0f} per second; "
                f"{count(r.missing, 'question')} without an answer; HR@20 in time for the next "
                f"click {percent(r.timely_hr20)} %{_OTHERS if not r.same_sessions else '.'}",
                class_="caption",
            ),
            aside=r.model,
        )
        for r in report.replays
    ]
    numbers = [
        [b.replay, f"{milliseconds(b.low_ms)}{DASH}{milliseconds(b.high_ms)}", f"{b.events:,}"]
        for b in report.latency
    ]
    return tag(
        "div",
        title,
        note(
            "From the time that an event was due to its prediction, so that a queue counts too; "
            "the time axis is logarithmic."
        ),
        strip("Latency of replays", panels),
        details("All numbers", table(["replay", "ms", "events"], numbers, "Latency", words=2)),
    )


def _costs(report: Report) -> Element:
    title = tag("h3", "Cost of an answer")
    if not report.costs:
        return tag("div", title, note(report.notes["costs"]))
    body = [
        [c.model, *map(milliseconds, (c.single_p50_ms, c.single_p99_ms, c.batch_p50_ms))]
        for c in report.costs
    ]
    return tag(
        "div",
        title,
        note("Milliseconds per context, slate of 20, in process, on one core."),
        table(
            ["model", "alone, p50", "alone, p99", "in a batch of 64"],
            body,
            "Milliseconds per context",
        ),
    )


def training(report: Report) -> Element:
    """Loss and validation figures by epoch."""
    if not report.training:
        why = report.notes.get(
            "training", "None of the models whose directories were given is trained in epochs."
        )
        return section("training", "Training", note(why))
    panels = []
    for model in dict.fromkeys(e.model for e in report.training):
        epochs = [e for e in report.training if e.model == model]
        panels += [
            panel(title, _curve(f"{model}: {title}", epochs, key), aside=model)
            for key, title in (
                ("loss", "training loss"),
                ("hr20", "validation HR@20"),
                ("mrr20", "validation MRR@20"),
            )
            if all(getattr(e, key) is not None for e in epochs)
        ]
    body = [
        [
            e.model,
            str(e.epoch),
            MISSING if e.loss is None else f"{e.loss:.4f}",
            percent(e.hr20, 2),
            percent(e.mrr20, 2),
        ]
        for e in report.training
    ]
    return section(
        "training",
        "Training",
        note("As recorded in the model directories; the axes do not begin at zero."),
        strip("Training curves", panels),
        details(
            "All numbers",
            table(["model", "epoch", "loss", "HR@20", "MRR@20"], body, "Training by epoch"),
        ),
    )


def _histogram(r: Replay, bins: Sequence[Latency]) -> Element:
    low, high = bins[0].low_ms, bins[-1].high_ms
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    low, high = min(low, 10.0 ** decades[0]), max(high, 10.0 ** decades[-1])
    total = sum(b.events for b in bins)
    top = nice_ceiling(max(b.events for b in bins) / total)
    quantiles = (("p50", r.p50_ms), ("p90", r.p90_ms), ("p99", r.p99_ms))
    says = f"{r.replay}: " + ", ".join(f"{q} {milliseconds(v)} ms" for q, v in quantiles)
    ticks = [(10.0**d, f"{10.0**d:,.4g}") for d in decades]
    chart = Chart(says, (low, high), (0, top), ticks, percent_ticks(top), "milliseconds",
                  "events, %", width=340, height=230, transform=math.log10)  # fmt: skip
    for b in bins:
        words = f"{milliseconds(b.low_ms)} to {milliseconds(b.high_ms)} ms: {b.events:,} events"
        chart.box((b.low_ms, 0), (b.high_ms, b.events / total), "box", words, gap=1)
    marks = [(min(max(v, low), high), q, v) for q, v in quantiles]
    for i, (x, _, _) in enumerate(marks):
        chart.segment((x, 0), (x, top * (0.8 + 0.1 * i)), "mark")
    for i, (x, q, v) in enumerate(marks):
        # Beside the top of its own line, above those of the lesser quantiles.
        px, y = chart.at((x, top * (0.8 + 0.1 * i)))
        near_edge = px < 110
        chart.marks.append(
            tag(
                "text", f"{q} {milliseconds(v)} ms", x=px + (5 if near_edge else -5), y=y + 10,
                text_anchor="start" if near_edge else "end", class_="label",
            )
        )  # fmt: skip
    return chart.svg()


def _curve(says: str, epochs: Sequence[Epoch], key: str) -> Element:
    values = [float(getattr(e, key)) for e in epochs]
    margin = (max(values) - min(values)) * 0.15 or abs(values[0]) * 0.05 or 1.0
    low, high = min(values) - margin, max(values) + margin
    is_loss = key == "loss"
    y_ticks = [
        (v, f"{v:.2f}" if is_loss else percent(v))
        for v in (low + (high - low) * i / 4 for i in range(5))
    ]
    first, last = epochs[0].epoch, epochs[-1].epoch
    every = max(1, math.ceil((last - first + 1) / 8))
    x_ticks = [(e, str(e)) for e in range(first, last + 1, every)]
    wide = (first - 0.5, last + 0.5)
    told = ", ".join(f"{v:.3f}" if is_loss else f"{percent(v)} %" for v in values)
    chart = Chart(f"{says}: {told}", wide, (low, high), x_ticks, y_ticks, "epoch",
                  "" if is_loss else "%", height=200)  # fmt: skip
    points = [(float(e.epoch), v) for e, v in zip(epochs, values, strict=True)]
    chart.line(points, "line")
    for x, v in points:
        chart.dot((x, v), "dot", f"epoch {number(x)}: {v:.4f}" if is_loss else
                  f"epoch {number(x)}: {percent(v, 2)} %")  # fmt: skip
    return chart.svg()
