"""What the daemon and the process of its shadow tell each other, through pipes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from streaming.config import KafkaSettings

T = TypeVar("T")

_LENGTH_BYTES = 4

#: Upper bounds, seconds, of the histogram of a batch's scoring time.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Setup(msgspec.Struct, frozen=True):
    """The first frame: what to score with, and where to.

    Attributes:
        model: the challenger's directory.
        kafka: the cluster's settings, as JSON; a password is named there, never held.
        topic: where its slates go.
        k: items per slate.
        exclude_seen, blocked_items: as for the model that is shown.
        rules: what contexts are cut by, their fingerprint.
        log_level, log_format: of the process.
    """

    model: str
    kafka: str
    topic: str
    k: int
    exclude_seen: bool
    blocked_items: list[str]
    rules: str
    log_level: str
    log_format: str

    @property
    def directory(self) -> Path:
        """The challenger's directory."""
        return Path(self.model)

    @property
    def cluster(self) -> KafkaSettings:
        """The cluster's settings."""
        return KafkaSettings.model_validate_json(self.kafka)


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """A context that was answered, and with what.

    Attributes:
        id, session_id, ts, in_order: as in the prediction.
        items, clocks, types: the context: item ids, milliseconds, codes of event types.
        shown: the item ids that were shown, best first.
    """

    id: str
    session_id: str
    ts: int
    in_order: bool
    items: list[str]
    clocks: list[int]
    types: list[int]
    shown: list[str]


class Figures(msgspec.Struct):
    """What the shadow counted since it started.

    Attributes:
        fingerprint, kind: the challenger; empty until it is loaded.
        slates: contexts it answered.
        overlap: sum over them of the share of items, of the longer slate, that both show.
        top_1: of these, how often both show the same item first.
        errors: contexts it could not answer, and slates that could not be delivered.
        batches: how many batches took at most each of :data:`BUCKETS`, and more than all.
        seconds: all batches together.
    """

    fingerprint: str = ""
    kind: str = ""
    slates: int = 0
    overlap: float = 0.0
    top_1: int = 0
    errors: int = 0
    batches: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0


def frame(value: object) -> bytes:
    """``value`` as MessagePack behind its length.

    >>> from io import BytesIO
    >>> [asked] = read_frames(BytesIO(frame([1, "a"])), list)
    >>> asked
    [1, 'a']
    """
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body


def read_frames(stream: BinaryIO, kind: type[T]) -> Iterator[T]:
    """The frames in ``stream`` until it ends, or ends within one."""
    decoder = msgspec.msgpack.Decoder(kind)
    while len(length := stream.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
        size = int.from_bytes(length, "little")
        body = stream.read(size)
        if len(body) < size:
            return
        yield decoder.decode(body)
