"""The sections on what a model shows: how sure it is, and how varied."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from session_rec.report.html.charts import Chart, percent_ticks
from session_rec.report.html.markup import Node, tag
from session_rec.report.html.parts import details, note, panel, section, strip, table
from session_rec.report.html.words import DASH, interval, nice_ceiling, percent
from session_rec.report.report import Report
from session_rec.report.rows import CalibrationBin


def calibration(report: Report) -> Element:
    """Confidence in the first item against how often it came."""
    top = nice_ceiling(max(max(b.confidence, b.hit_high) for b in report.calibration))
    panels = []
    for m in report.models:
        bins = [b for b in report.calibration if b.model == m.model]
        panels.append(
            panel(
                m.model,
                _reliability(m.model, bins, top),
                tag("p", _verdict(m.confidence, m.hit_rate), class_="caption"),
                aside=f"error {percent(m.calibration_error)}",
            )
        )
    body = [
        [
            b.model, f"{b.bin + 1}", f"{b.questions:,}", percent(b.confidence, 2),
            interval(b.low, b.high, 2), percent(b.hit_rate, 2), interval(b.hit_low, b.hit_high, 2),
        ]
        for b in report.calibration
    ]  # fmt: skip
    return section(
        "calibration",
        "Calibration",
        note(
            "How often the item shown first came next, where the model was about equally sure of "
            "it: up to ten bins of equally many questions, each with a 95 % interval. On the "
            "dashed line, confidence is a probability; right of it the model is too sure. The "
            "error is the expected calibration error: the mean distance from that line, in points."
        ),
        note(
            "Confidence is the softmax of a model's scores where they are logits (transformer, "
            "gru4rec, item2vec), else the item's share of all scores above 0. Only a softmax "
            "trained by the likelihood of the whole catalog, as the transformer's and the GRU's, "
            "sets out to be a probability. "
            "Far from the line a model may still rank well, but its confidence, or a threshold on "
            "it, must not be read as one."
        ),
        strip("Reliability diagrams", panels),
        details(
            "All numbers",
            table(
                ["model", "bin", "questions", "confidence", f"from{DASH}to", "hits", "95 %"],
                body,
                "Confidence and hits in bins, percent",
            ),
        ),
    )


def slates(report: Report) -> Element:
    """How slots are shared among items."""
    panels = []
    for m in report.models:
        chart = _concentration(report, m.model, m.gini)
        by_decile = _by_decile(report, m.model)
        aside = f"Gini {m.gini:.2f}"
        caption = (
            f"{percent(m.coverage)} % of the catalog is shown; popularity rank "
            f"{percent(m.shown_popularity)} % on average."
        )
        panels.append(
            panel(m.model, chart, by_decile, tag("p", caption, class_="caption"), aside=aside)
        )
    tenths: Node = (
        note(
            "Lower charts: the share of slots that goes to each tenth of the catalog by training "
            "clicks, and as a line the share of the true next items there. A bar above its line "
            "is shown more often than clicked."
        )
        if report.popularity_shares
        else note(f"Slots by popularity of the items. {report.notes['popularity_shares']}")
    )
    shares = {(s.model, s.decile): s for s in report.popularity_shares}
    names = [m.model for m in report.models]
    numbers = [
        [str(d), percent(shares[names[0], d].targets),
         *(percent(shares[name, d].slots) for name in names)]
        for d in range(1, 11)
        if shares
    ]  # fmt: skip
    return section(
        "slates",
        "Coverage and popularity",
        note(
            "Upper charts: the share of all slots that the most shown items take; the other models "
            "in grey. The diagonal would show every item as often. Gini: 0 for that, near 1 where "
            "few items take all."
        ),
        tenths,
        strip("Concentration of slates", panels),
        details(
            "All numbers",
            table(
                ["tenth of the catalog", "next items", *names],
                numbers,
                "Share of slots by popularity, percent",
            ),
        )
        if numbers
        else None,
    )


def _reliability(model: str, bins: Sequence[CalibrationBin], top: float) -> Element:
    says = f"{model}: " + "; ".join(
        f"sure by {percent(b.confidence)} %, right in {percent(b.hit_rate)} %" for b in bins
    )
    ticks = percent_ticks(top)
    chart = Chart(says, (0, top), (0, top), ticks, ticks, "confidence, %", "came next, %",
                  height=260)  # fmt: skip
    chart.segment((0, 0), (top, top), "ideal")
    chart.line([(b.confidence, b.hit_rate) for b in bins], "line thin")
    for b in bins:
        chart.segment((b.confidence, b.hit_low), (b.confidence, b.hit_high), "whisker")
        chart.dot(
            (b.confidence, b.hit_rate),
            "dot",
            f"{b.questions:,} questions: confidence {percent(b.confidence, 2)} %, came next "
            f"{percent(b.hit_rate, 2)} % ({interval(b.hit_low, b.hit_high, 2)})",
        )
    return chart.svg()


def _verdict(confidence: float, hit_rate: float) -> str:
    points = 100 * (confidence - hit_rate)
    said = f"Sure by {percent(confidence)} %, right in {percent(hit_rate)} %"
    if abs(points) < 0.05:
        return f"{said}: as sure as right, on average."
    much = "too sure" if points > 0 else "not sure enough"
    return f"{said}: {abs(points):.1f} points {much} on average."


def _concentration(report: Report, model: str, gini: float) -> Element:
    curves: dict[str, list[tuple[float, float]]] = {}
    for c in report.concentration:
        curves.setdefault(c.model, []).append((c.items, c.slots))
    at_5 = next(c.slots for c in report.concentration if c.model == model and c.items == 0.05)
    says = (
        f"{model}: the most shown 5 % of the items take {percent(at_5)} % of the slots, "
        f"Gini {gini:.2f}"
    )
    ticks = percent_ticks(1)
    chart = Chart(says, (0, 1), (0, 1), ticks, ticks, "most shown items, % of catalog",
                  "slots, %")  # fmt: skip
    chart.segment((0, 0), (1, 1), "ideal")
    for other, points in curves.items():
        if other != model:
            chart.line(points, "line other")
    chart.line(curves[model], "line")
    return chart.svg()


def _by_decile(report: Report, model: str) -> Element | None:
    shares = [s for s in report.popularity_shares if s.model == model]
    if not shares:
        return None
    top = nice_ceiling(max(max(s.slots, s.targets) for s in report.popularity_shares))
    says = f"{model}: share of slots by tenth of the catalog: " + ", ".join(
        f"{percent(s.slots)} %" for s in shares
    )
    ticks = [(s.decile, str(s.decile)) for s in shares]
    chart = Chart(says, (0.5, 10.5), (0, top), ticks, percent_ticks(top),
                  "tenth of the catalog by clicks", "slots, %", height=180)  # fmt: skip
    for s in shares:
        words = f"tenth {s.decile}: {percent(s.slots)} % of slots, {percent(s.targets)} % of next"
        chart.box((s.decile - 0.5, 0), (s.decile + 0.5, s.slots), "box", words, gap=5)
        chart.segment((s.decile - 0.42, s.targets), (s.decile + 0.42, s.targets), "mark")
    return chart.svg()
