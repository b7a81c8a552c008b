"""The page as a whole."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from session_rec.report.html.behaviour import calibration, slates
from session_rec.report.html.markup import Node, tag, write
from session_rec.report.html.pace import speed, training
from session_rec.report.html.provenance import protocol
from session_rec.report.html.quality import headline, quality, slices
from session_rec.report.html.sessions import examples
from session_rec.report.html.words import count, short

if TYPE_CHECKING:
    from session_rec.report.report import Report


def page(report: Report) -> bytes:
    """The report as one HTML file, UTF-8. It loads nothing and runs nothing."""
    sections = [
        make(report)
        for make in (quality, slices, calibration, slates, speed, examples, training, protocol)
    ]
    keys = [s.get("id", "") for s in sections]
    links = [tag("a", key.capitalize(), href=f"#{key}") for key in keys]
    p = report.protocol
    title = f"{count(len(report.models), 'model')} on {p['split']}"
    facts: list[Node] = []
    for name, value in (
        ("questions", f"{p['questions']:,}"),
        ("sessions", f"{p['sessions']:,}"),
        ("items ranked", f"{p['items']:,}"),
        ("data", short(p["data"])),
    ):
        facts.append(tag("div", tag("dt", name), tag("dd", value)))
    body = tag(
        "body",
        tag("a", "Skip to the report", href="#quality", class_="skip"),
        tag(
            "header",
            tag("p", "session-rec report", class_="eyebrow"),
            tag("h1", title),
            tag("p", *headline(report), class_="lead"),
            tag("dl", *facts, class_="facts"),
            tag(
                "p",
                f"Asked: {p['positions']}. Ranked: {p['candidates']}; ties {p['ties']}.",
                class_="note",
            ),
            class_="top",
        ),
        tag("nav", *links, aria_label="Sections"),
        tag("main", *sections),
    )
    css = files("session_rec.report.html").joinpath("style.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", f"{title}, session-rec report"),
        tag("style", css),
    )
    text = "<!DOCTYPE html>\n" + write(tag("html", head, body, lang="en")) + "\n"
    return text.encode("utf-8", "replace")
