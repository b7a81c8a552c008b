"""The prediction message and its codec."""

from __future__ import annotations

from typing import Annotated

import msgspec

from session_rec.experiment_arms import Arm

SCHEMA_VERSION = 1  #: of the prediction message; grows when a reader must change

_encoder = msgspec.json.Encoder()


class Prediction(msgspec.Struct, frozen=True):
    """The slate after one event. The record key is the session id.

    Attributes:
        schema_version: :data:`SCHEMA_VERSION`.
        id: ``topic-partition-offset`` of the event; after a crash a prediction may come twice,
            readers keep the first of each id.
        session_id: whose session.
        ts: event time, milliseconds since 1970-01-01 UTC.
        emitted_at: when the prediction was made, milliseconds since 1970-01-01 UTC.
        model: fingerprint of the model that made it.
        items: item ids, best first.
        scores: parallel to ``items``.
        known_items: events of the context whose item the model knows.
        fallback: no item was known: this is the popular slate.
        in_order: the event was the newest of its session when it came.
        experiment: name of the experiment, where there is one; what was added since version 1 a
            reader may pass over.
        arm: the session's arm of it. A challenger that cannot answer is stood in for by the
            champion in the challenger's arm: ``model`` says who answered.
    """

    schema_version: Annotated[int, msgspec.Meta(ge=1)]
    id: str
    session_id: str
    ts: int
    emitted_at: int
    model: str
    items: list[str]
    scores: list[float]
    known_items: Annotated[int, msgspec.Meta(ge=0)]
    fallback: bool
    in_order: bool
    experiment: str | msgspec.UnsetType = msgspec.UNSET
    arm: Arm | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(Prediction)


def encode_prediction(prediction: Prediction) -> bytes:
    """The UTF-8 JSON of a prediction."""
    return _encoder.encode(prediction)


def decode_prediction(data: bytes) -> Prediction:
    """The prediction in ``data``; unknown fields are ignored.

    Raises:
        msgspec.DecodeError: the bytes are not a prediction.
    """
    return _decoder.decode(data)
