"""What the metrics say, and that docs/operations.md says it too."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from stream_support import LATENESS_MS, RULES, K, toy_bundle

from session_rec.events import Event
from session_rec.recommender import Recommender
from streaming.accounting import TERMS
from streaming.config import KafkaSettings, StreamConfig
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.dead_letters import DeadLetters
from streaming.experiment import Experiment
from streaming.experiment_settings import ExperimentSettings
from streaming.health import Health
from streaming.http_routes import FREE, Routes
from streaming.http_server import HttpServer
from streaming.notify import Notifier
from streaming.operation_settings import OperationSettings
from streaming.pipeline import Partition, Pipeline
from streaming.recent_slates import RecentSlates
from streaming.shadow import Figures, Shadow
from streaming.telemetry import STAGES, Telemetry, lag_seconds

ROOT = Path(__file__).resolve().parents[3]
DOC = (ROOT / "docs" / "operations.md").read_text("utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = "\n" + DOC.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.search(r"\n\n\|.*?\n\| ---.*?\n((?:\|.*\n)+)", section)
    assert rows is not None
    cells = [re.split(r" ?(?<!\\)\| ?", row.strip("|\n ")) for row in rows[1].splitlines()]
    return [[cell.strip() for cell in row] for row in cells]


def partition(taken_ms: int = 0, caught_up_ms: int = 0) -> Partition:
    contexts = PartitionContexts(ContextSettings(RULES, LATENESS_MS), 0)
    return Partition("events-0", contexts, 0, 0, taken_ms=taken_ms, caught_up_ms=caught_up_ms)


def shadow_without_a_process() -> Shadow:
    shadow = object.__new__(Shadow)
    shadow.figures, shadow.handed_over, shadow.dropped = Figures(), 0, 0
    return shadow


@pytest.fixture(scope="module")
def telemetry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Telemetry]:
    model = toy_bundle(tmp_path_factory.mktemp("models") / "toy")
    pipeline = Pipeline(
        Recommender.load(model), DeadLetters("dead", 10_000), "predictions", k=K,
        slates=RecentSlates(10, 1000),
    )  # fmt: skip
    health = Health(60, Notifier({}))
    with closing(HttpServer("127.0.0.1", 0, None)) as http:
        http.answers["metrics", 200] += 2
        made = Telemetry(pipeline, health, http)
        made.partitions[3] = partition(taken_ms=1)
        made.partitions[3].measure(7, 1)
        made.registry.register(shadow_without_a_process())
        settings = ExperimentSettings(name="autumn", challenger="m")
        made.registry.register(Experiment(settings, pipeline.recommender))
        http.serve(Routes(made.registry, health, pipeline.slates))
        yield made


def exported(telemetry: Telemetry) -> dict[str, tuple[str, set[str]]]:
    """Name -> type and labels, read as Prometheus reads it; names as PromQL has them."""
    from prometheus_client import generate_latest

    found = {}
    for family in text_string_to_metric_families(generate_latest(telemetry.registry).decode()):
        name = family.name + "_total" * (family.type == "counter")
        labels = {key for sample in family.samples for key in sample.labels} - {"le"}
        if not family.name.endswith("_created"):
            found[name] = (family.type, labels)
    return found


def test_every_metric_stands_in_the_table_and_nothing_else(telemetry: Telemetry) -> None:
    said = {}
    for name, kind, labels, meaning in table("Metrics"):
        assert meaning
        said[name.strip("`")] = (kind, set(re.findall(r"`(\w+)`", labels)))
    assert said == exported(telemetry)


def test_a_scrape_while_a_partition_leaves_counts_its_sessions_once(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape that misses them, or has them twice, makes the counter step back, which Prometheus
    takes for a restart."""

    def dropped() -> float:
        families = {family.name: family for family in telemetry.collect()}
        return sum(s.value for s in families["session_rec_sessions_dropped"].samples)

    class Leaving(dict[int, Partition]):
        """Has the daemon's thread drop the partition while it is copied."""

        def copy(self) -> dict[int, Partition]:
            if 5 in self:
                thread = threading.Thread(target=telemetry.left, args=(5, self[5]))
                thread.start()
                threads.append(thread)
                thread.join(0.2)
            return dict(self)

    threads: list[threading.Thread] = []
    leaving = partition()
    leaving.contexts.forgotten, leaving.contexts.evicted_bytes = 40, 2
    before = dropped()
    monkeypatch.setattr(telemetry, "partitions", Leaving(telemetry.partitions | {5: leaving}))
    assert dropped() == before + 42
    (thread,) = threads
    thread.join()
    assert 5 not in telemetry.partitions
    assert dropped() == before + 42


def test_these_are_all_that_make_metrics() -> None:
    """Whoever makes more registers them in the fixture above, and so in the table."""
    source = ROOT / "streaming"
    makers = {p.name for p in source.rglob("*.py") if "prometheus_client" in p.read_text("utf-8")}
    assert makers == {"telemetry.py", "http_routes.py", "shadow.py", "experiment.py"}


def test_every_metric_and_label_value_of_the_queries_is_there(telemetry: Telemetry) -> None:
    there = exported(telemetry)
    names = set(there) | {
        n + end for n, (kind, _) in there.items() if kind == "histogram"
        for end in ("_bucket", "_sum", "_count")
    }  # fmt: skip
    used = set(re.findall(r"\bsession_rec_\w+", DOC))
    assert used <= names, used - names
    values = {"fate": set(TERMS), "stage": set(STAGES), "kind": {"assigned", "revoked", "lost"}}
    for label, value in re.findall(r'\{(\w+)[=!~]+"([^"]+)"\}', DOC):
        if label in values:
            assert set(value.split("|")) <= values[label], value
    rows = {name.strip("`"): meaning for name, _, _, meaning in table("Metrics")}
    assert set(TERMS) <= set(re.findall(r"`(\w+)`", rows["session_rec_records_total"]))
    assert set(STAGES) <= set(re.findall(r"`(\w+)`", rows["session_rec_stage_seconds"]))


def test_the_settings_endpoints_and_codes_of_the_page_are_those_of_the_code() -> None:
    fields = OperationSettings.model_fields
    said = {row[0].strip("`"): row[1] for row in table("Settings")}
    assert set(said) == set(fields)
    for name, default in said.items():
        value = fields[name].default
        want = "" if value is None else f"`{str(value).lower() if value is True else value}`"
        if isinstance(value, str):
            want = f'`"{value}"`'
        assert default == want or name == "healthz_timeout_s", (name, default, want)
    known = set(StreamConfig.model_fields) | set(KafkaSettings.model_fields)
    named = set(re.findall(r"`(?:kafka\.)?([a-z_]+_(?:s|env|file|id|cache))\b", DOC))
    assert "shutdown_timeout_s" in named and named <= known, named - known
    paths = {row[0].strip("`"): row[2] for row in table("Endpoints")}
    assert {p for p, token in paths.items() if token == "never"} == set(FREE)
    assert set(paths) == {*FREE, "/metrics", "/sessions/ID/recommendations"}
    codes = [int(row[0]) for row in table("Stopping, and exit codes")]
    assert codes == [0, 1, 2, 3, 4, 130, 143]  # each has its test: test_service.py, and 4: fencing


def test_lag_in_seconds_is_bounded_from_both_sides() -> None:
    now = 1_700_000_100.0
    behind = partition(taken_ms=1_700_000_040_000)
    behind.measure(5, 1_700_000_099_000)
    assert (behind.lag, lag_seconds(behind, now)) == (5, 60.0)
    # Caught up after the last record: what came since is no older than that.
    quiet = partition(taken_ms=1_600_000_000_000)
    quiet.measure(0, 1_700_000_090_000)
    assert lag_seconds(quiet, now) == 0.0
    quiet.measure(1, 1_700_000_095_000)
    assert lag_seconds(quiet, now) == 10.0
    unknown = partition()
    unknown.measure(5, 1_700_000_090_000)
    assert lag_seconds(unknown, now) is None
    ahead = partition(taken_ms=1_700_000_500_000)
    ahead.measure(5, 1_700_000_090_000)
    assert lag_seconds(ahead, now) == 0.0


def test_measuring_counts_what_is_not_taken() -> None:
    p = partition()
    for offset in range(3):
        p.contexts.add(Event("s", "i", offset), offset)
    p.measure(10, 5)
    assert (p.lag, p.caught_up_ms) == (7, 0)
    p.measure(3, 6)
    assert (p.lag, p.caught_up_ms) == (0, 6)
