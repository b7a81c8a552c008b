"""The rows of a report's tables; their fields are the columns of the frames and the keys of the
JSON. Fractions are from 0 to 1; an interval is ``low`` to ``high``."""

from __future__ import annotations

from typing import Literal

import msgspec


class Model(msgspec.Struct, frozen=True):
    """A model of the report, the highest HR@20 first.

    Attributes:
        model: its name, distinct within the report.
        kind, fingerprint: model kind, and 16 hex digits that name its directory.
        coverage: share of the catalog that stands in at least one slate of 20.
        shown_popularity: mean popularity rank of what is shown, as a fraction of the catalog.
        gini: inequality of how often items are shown: 0 all alike, towards 1 always the same few.
        fallback: share of contexts without a known item.
        confidence, hit_rate: mean probability given to the item shown first, and how often it came.
        calibration_error: expected calibration error (:mod:`session_rec.report.calibration`).
        training_data, rules, seed: fingerprints of what it was trained on and by, and its seed;
            None where its directory was not given.
    """

    model: str
    kind: str
    fingerprint: str
    coverage: float
    shown_popularity: float
    gini: float
    fallback: float
    confidence: float
    hit_rate: float
    calibration_error: float
    training_data: str | None = None
    rules: str | None = None
    seed: int | None = None


class Metric(msgspec.Struct, frozen=True):
    """A figure of a model over all questions, such as ``hr@20``, with its 95 % interval."""

    model: str
    metric: str
    value: float
    low: float
    high: float


class Slice(msgspec.Struct, frozen=True):
    """A figure of a model over the questions of one slice.

    Attributes:
        by: what the questions are divided by, such as ``context length``.
        slice: which part, such as ``4-5``.
        model, metric, value, low, high: as in :class:`Metric`.
        questions, sessions: how many there are.
    """

    by: str
    slice: str
    model: str
    metric: str
    value: float
    low: float
    high: float
    questions: int
    sessions: int


class CalibrationBin(msgspec.Struct, frozen=True):
    """Questions that a model was about equally sure of.

    Attributes:
        bin: from 0, by rising confidence.
        confidence, low, high: mean, least and greatest confidence in the bin.
        hit_rate, hit_low, hit_high: how often the item shown first came, with a 95 % interval.
        questions: how many there are.
    """

    model: str
    bin: int
    confidence: float
    low: float
    high: float
    hit_rate: float
    hit_low: float
    hit_high: float
    questions: int


class Concentration(msgspec.Struct, frozen=True):
    """The most shown fraction ``items`` of the catalog takes the fraction ``slots`` of slates."""

    model: str
    items: float
    slots: float


class PopularityShare(msgspec.Struct, frozen=True):
    """What a tenth of the catalog takes of slates and of true next items.

    Attributes:
        decile: 1 for the tenth of the items with the most training clicks, 10 for the least.
        slots: share of the model's shown items that are of it.
        targets: share of the true next items in the catalog that are of it.
    """

    model: str
    decile: int
    slots: float
    targets: float


class Replay(msgspec.Struct, frozen=True):
    """Speed of a replay; ``timely_hr20`` counts what came after the next click as a miss. It
    compares with the report's HR@20 only where ``same_sessions``."""

    replay: str
    model: str
    events: int
    events_per_second: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    missing: int
    timely_hr20: float
    same_sessions: bool


class Latency(msgspec.Struct, frozen=True):
    """How many events of a replay had their prediction after ``low_ms`` and before ``high_ms``."""

    replay: str
    low_ms: float
    high_ms: float
    events: int


class Cost(msgspec.Struct, frozen=True):
    """Milliseconds per context: one in a call, and with 64 in a call."""

    model: str
    single_p50_ms: float
    single_p99_ms: float
    batch_p50_ms: float


class Epoch(msgspec.Struct, frozen=True):
    """An epoch of a training, from 1; validation figures are None where there was none."""

    model: str
    epoch: int
    loss: float | None
    hr20: float | None
    mrr20: float | None


class Click(msgspec.Struct, frozen=True):
    """A question of an example session: what was clicked, what was shown, and what came next.

    Attributes:
        example: which session of the report, from 0.
        model: whose slate it is.
        position: place of the click among those of its session id, from 0.
        ts: milliseconds.
        type: event type.
        context_length: events that the model was told of, this one included.
        shown: ids of the first five items of the slate.
        target: the id that came next; ``rank`` its rank, None where the catalog lacks it.
    """

    example: int
    session_id: str
    model: str
    position: int
    ts: int
    type: str
    item: str
    item_name: str
    context_length: int
    shown: tuple[str, ...]
    shown_names: tuple[str, ...]
    target: str
    target_name: str
    rank: int | None


class Check(msgspec.Struct, frozen=True):
    """A check of a model's leakage certificate: what came of it, and one sentence."""

    model: str
    check: str
    status: Literal["passed", "failed", "not applicable", "not checked"]
    says: str
