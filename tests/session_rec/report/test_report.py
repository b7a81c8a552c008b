"""Reports as JSON, as frames and as a page; and what is refused."""

import dataclasses
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from session_rec.cli import build_app
from session_rec.errors import DataError, UserError
from session_rec.evaluation.compare import UnlikeProtocolsError
from session_rec.report import SCHEMA_VERSION, TABLES, Report

from .conftest import EVIL, N, make_outcomes, save

VOID = {"meta", "br", "hr", "img", "input", "link", "col"}
DOCS = Path(__file__).resolve().parents[3] / "docs" / "report.md"


class Page(HTMLParser):
    """A page whose tags are balanced, with what it is made of."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html.decode("utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_is_whole_and_loads_nothing(full):
    html = full.html()
    page = Page(html)
    assert len(html) < 2_000_000
    for forbidden in (b"http:", b"https:", b"//", b"src=", b"@import", b"url(", b"<script"):
        assert forbidden not in html, forbidden
    names = [t for t, _ in page.tags]
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(names)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for t, a in page.tags if t == "a"]
    assert {f"#{i}" for i in ids} == set(links)
    charts = [a for t, a in page.tags if t == "svg"]
    assert len(charts) >= 2 * 3 + 1 + 3
    assert all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in charts)
    assert names.count("caption") == names.count("table")
    assert all(a.get("tabindex") == "0" for _, a in page.tags if a.get("class") == "scroll")


def test_the_page_says_what_the_report_holds(full):
    text = Page(full.html()).text
    hr = {m.model: m for m in full.metrics if m.metric == "hr@20"}
    for model, m in hr.items():
        assert model in text
        assert f"{100 * m.value:.2f}" in text
    for said in (
        "all items of the catalog, seen items included", "d" * 64, "No test session is in the",
        "not applicable", full.models[0].fingerprint, "30 events at 10 per second", "p99 20 ms",
        "training loss", "top 1", "Not hand-picked",
    ):  # fmt: skip
        assert said in text, said
    for click in full.examples:
        assert click.session_id in text
    assert text.count("✓") >= sum(c.target in c.shown for c in full.examples)


def test_what_is_in_the_data_is_text_on_the_page(full):
    assert EVIL in full.examples[0].item_name + full.examples[1].item_name
    html = full.html()
    assert b"<script" not in html
    assert EVIL in Page(html).text
    evil = make_outcomes(model=EVIL)
    renamed = dataclasses.replace(evil, type_names=("<i>view", "a&b", '"'))
    page = Page(Report.of([renamed]).html())
    assert EVIL in page.text and "<i>view" in page.text
    assert "i" not in [t for t, a in page.tags if not a.get("class")]


def test_the_same_input_gives_the_same_bytes_in_any_order(two, plain, tmp_path):
    for o in two:
        save(o, tmp_path / "o" / f"{o.header.model}.parquet")
    read = Report.of([tmp_path / "o" / "poor.parquet", tmp_path / "o" / "good.parquet"])
    assert read == plain
    assert read.html() == plain.html()
    assert [m.model for m in read.models] == ["good", "poor"]


def test_json_and_frames_hold_the_same(full):
    decoded = msgspec.json.decode(msgspec.json.encode(full.to_dict()))
    assert decoded["schema_version"] == SCHEMA_VERSION
    assert set(decoded) == {"schema_version", "protocol", "notes", *TABLES}
    frames = full.frames()
    assert list(frames) == list(TABLES)
    for key, frame in frames.items():
        assert len(frame) > 0, key
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        assert msgspec.json.decode(msgspec.json.encode(rows)) == decoded[key], key


def test_the_documentation_names_every_column():
    told = {}
    for line in DOCS.read_text("utf-8").splitlines():
        cells = [c.strip() for c in line.split("|")[1:-1]]
        if len(cells) == 3 and cells[0].strip("`") in TABLES:
            told[cells[0].strip("`")] = re.findall(r"`(\w+)`", cells[2])
    assert told == {key: list(kind.__struct_fields__) for key, kind in TABLES.items()}


def test_with_outcomes_alone_the_report_says_what_is_missing(plain):
    report = plain
    assert report.certificates == report.training == report.latency == report.costs == ()
    text = Page(report.html()).text
    for why in ("no model directory was given", "no replay was given", "no costs were given"):
        assert why in text
    assert report.examples[0].item_name == report.examples[0].item


def test_unlike_protocols_are_refused_by_the_field_that_differs(two):
    good, poor = two
    for name, value in (("split", "other"), ("data", "x"), ("min_prefix", 2), ("catalog", "y")):
        protocol = msgspec.structs.replace(poor.header.protocol, **{name: value})
        header = msgspec.structs.replace(poor.header, protocol=protocol)
        with pytest.raises(UnlikeProtocolsError, match=rf"\b{name} is"):
            Report.of([good, dataclasses.replace(poor, header=header)])


def test_what_cannot_be_used_is_refused_in_a_sentence(two, directory, tmp_path):
    good, _ = two
    broken = tmp_path / "broken.json"
    broken.write_text('{"model": 3}')
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    (tmp_path / "nothing").mkdir()
    for message, make in {
        "nothing to report": lambda: Report.of([]),
        "good is given twice|given twice": lambda: Report.of([good, good]),
        "holds none": lambda: Report.of([tmp_path / "nothing"]),
        "none of the models whose outcomes": lambda: Report.of([good], directories=[directory]),
        "no result of 'replay --json'": lambda: Report.of([good], replays=[broken]),
        "cannot be read": lambda: Report.of([good], replays=[tmp_path / "absent.json"]),
        "no result of 'evaluate --cost": lambda: Report.of([good], costs=broken),
        "holds no cost of these models": lambda: Report.of([good], costs=empty),
    }.items():
        with pytest.raises(DataError, match=message):
            make()
    catalog = directory / "catalog.json"
    catalog.write_bytes(catalog.read_bytes().replace(b"Item 000", b"Item 999"))
    with pytest.raises(UserError, match="copy the model again"):
        Report.of([good], directories=[directory])


def test_two_models_of_one_name_are_told_apart(two):
    good, poor = two
    header = msgspec.structs.replace(poor.header, model="good")
    report = Report.of([good, dataclasses.replace(poor, header=header)])
    assert [m.model for m in report.models] == ["good (aaaaaaaa)", "good (bbbbbbbb)"]


def test_two_replays_of_one_file_name_and_their_sessions_are_told_apart(two, tmp_path):
    good, _ = two
    replay = {
        "model": good.header.fingerprint, "events": 3, "events_per_second": 1.0, "missing": 0,
        "latency_ms": {"p50": 2.0, "p90": 8.0, "p99": 20.0}, "timely_hr@20": 0.25,
    }  # fmt: skip
    here = good.header.protocol
    elsewhere = msgspec.structs.replace(here, data="another day")
    paths = [tmp_path / "fast" / "live.json", tmp_path / "slow" / "live.json"]
    measured = ([[1.0, 10.0, 3]], here), ([[10.0, 100.0, 2]], elsewhere)
    for path, (histogram, protocol) in zip(paths, measured, strict=True):
        path.parent.mkdir()
        seen = {"latency_histogram": histogram, "protocol": protocol}
        path.write_bytes(msgspec.json.encode(replay | seen))
    report = Report.of([good], replays=paths)
    assert [r.replay for r in report.replays] == ["fast/live", "slow/live"]
    assert [(b.replay, b.events) for b in report.latency] == [("fast/live", 3), ("slow/live", 2)]
    # Which of them may be compared with the report's own figures is said beside it.
    assert [r.same_sessions for r in report.replays] == [True, False]
    assert report.html().decode().count("other sessions were replayed") == 1
    with pytest.raises(DataError, match="given twice"):
        Report.of([good], replays=[paths[0], paths[0]])


def test_the_base_install_is_enough_but_for_frames(two, monkeypatch):
    for absent in ("pandas", "matplotlib", "jinja2", "pyarrow", "torch"):
        monkeypatch.setitem(sys.modules, absent, None)
    report = Report.of(two[:1])
    assert Page(report.html()).text
    with pytest.raises(UserError, match=r"pandas is not installed: .*pip install"):
        report.frames()


def test_the_command_writes_page_and_numbers(two, tmp_path):
    for o in two:
        save(o, tmp_path / "o" / f"{o.header.model}.parquet")
    out, numbers = tmp_path / "r.html", tmp_path / "r.json"
    words = ["report", str(tmp_path / "o"), "--out", str(out), "--json", str(numbers)]
    ran = CliRunner().invoke(build_app(), [*words, "--examples", "2", "--seed", "3"])
    assert ran.exit_code == 0, ran.output
    made = Report.of([tmp_path / "o"], examples=2, seed=3)
    assert out.read_bytes() == made.html()
    assert msgspec.json.decode(numbers.read_bytes()) == msgspec.json.decode(
        msgspec.json.encode(made.to_dict())
    )
    assert {c.example for c in made.examples} == {0, 1}


def test_nothing_hit_and_nothing_drawn_still_make_a_page():
    o = make_outcomes(sessions=2)
    nothing = dataclasses.replace(
        o,
        rank=o.rank * 0 + N,
        confidence=o.confidence * 0,
        header=msgspec.structs.replace(
            o.header,
            figures=o.header.figures
            | {
                "metrics": dict.fromkeys(o.header.figures["metrics"], 0.0),
                "intervals": {k: [0.0, 0.0] for k in o.header.figures["metrics"]},
            },
        ),
    )
    assert Page(Report.of([nothing], examples=0).html()).text
