"""Latency and cost, from the files that ``replay --json`` and ``evaluate --cost --json`` write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from session_rec.errors import DataError
from session_rec.evaluation.protocol import Protocol
from session_rec.report.rows import Cost, Latency, Replay

_T = TypeVar("_T")


class _ReplayFile(msgspec.Struct):
    model: str
    events: int
    events_per_second: float | None
    latency_ms: dict[str, float | None]
    latency_histogram: list[tuple[float, float, int]]
    missing: int
    protocol: Protocol
    timely: float = msgspec.field(name="timely_hr@20")


class _Costs(msgspec.Struct):
    single_p50: float
    single_p99: float
    batch_p50: float


class _Evaluated(msgspec.Struct):
    model: str
    protocol: Protocol
    cost_ms: _Costs | None = None


def read_replay(
    path: Path, title: str, names: Mapping[str, str], reported: Protocol
) -> tuple[Replay, list[Latency]]:
    """A replay and its latencies.

    Args:
        title: what the report calls it, distinct among its replays.
        names: the name of each model in the report, by fingerprint.
        reported: the protocol of the report's other figures.

    Raises:
        DataError: the file is missing, not of a replay, or of one that got no prediction.

    >>> import tempfile
    >>> from session_rec.evaluation.replay import replay, summarise
    >>> from session_rec.toy import toy_log, toy_recommender
    >>> model, log = toy_recommender("pear plum"), toy_log("pear plum", "plum")
    >>> played = summarise(model, log, replay(model, log), model.rules, "test")
    >>> path = Path(tempfile.mkdtemp()) / "replay.json"
    >>> _ = path.write_bytes(msgspec.json.encode(played.to_dict()))
    >>> row, latency = read_replay(path, "Monday", {model.fingerprint: "mine"}, played.protocol)
    >>> row.replay, row.model, row.same_sessions, row.events, sum(part.events for part in latency)
    ('Monday', 'mine', True, 3, 3)
    """
    r = _read(path, _ReplayFile, "'replay --json'")
    latency = [r.latency_ms.get(q) for q in ("p50", "p90", "p99")]
    if not r.latency_histogram or any(q is None for q in latency):
        raise DataError(f"{path} is of a replay without a prediction: replay again")
    p50, p90, p99 = (q or 0.0 for q in latency)
    replay = Replay(
        title, names.get(r.model, r.model), r.events, r.events_per_second or 0.0,
        p50, p90, p99, r.missing, r.timely,
        (r.protocol.data, r.protocol.rules) == (reported.data, reported.rules),
    )  # fmt: skip
    return replay, [Latency(title, *bin_) for bin_ in r.latency_histogram]


def read_costs(path: Path, protocols: Mapping[str, Protocol]) -> list[Cost]:
    """The costs of the models of the report.

    Args:
        protocols: the protocol of each model in the report, by name.

    Raises:
        DataError: the file is missing, not of an evaluation, without costs, or of others.

    >>> import tempfile
    >>> from session_rec.toy import toy_evaluation, toy_recommender
    >>> evaluated = toy_evaluation(toy_recommender("pear plum"), "pear plum", name="mine")
    >>> cost = {"single_p50": 0.25, "single_p99": 0.5, "batch_p50": 0.125}
    >>> path = Path(tempfile.mkdtemp()) / "evaluated.json"
    >>> _ = path.write_bytes(msgspec.json.encode([evaluated.to_dict() | {"cost_ms": cost}]))
    >>> read_costs(path, {"mine": evaluated.protocol})
    [Cost(model='mine', single_p50_ms=0.25, single_p99_ms=0.5, batch_p50_ms=0.125)]
    """
    evaluated = _read(path, list[_Evaluated], "'evaluate --cost --json'")
    found = {
        e.model: e.cost_ms for e in evaluated if e.cost_ms and protocols.get(e.model) == e.protocol
    }
    if not found:
        raise DataError(
            f"{path} holds no cost of these models on these questions: give the JSON of "
            "'evaluate --cost' that wrote the outcomes"
        )
    return [
        Cost(m, found[m].single_p50, found[m].single_p99, found[m].batch_p50)
        for m in protocols
        if m in found
    ]


def _read(path: Path, kind: type[_T], command: str) -> _T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as e:
        raise DataError(f"{path} cannot be read ({e.strerror}): give a file of {command}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise DataError(f"{path} is no result of {command}: {e}; make it again") from None
