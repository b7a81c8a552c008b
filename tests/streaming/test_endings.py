"""What the operator reads where an error of the client ends the daemon."""

from __future__ import annotations

import pytest
from kafka import TopicPartition
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    LogTruncationError,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
)
from kafka.structs import OffsetAndMetadata

from session_rec.errors import UserError
from session_rec.sessions import SessionRules
from streaming.config import StreamConfig
from streaming.contexts import ContextSettings, PartitionContexts
from streaming.delivery import DeliveryError
from streaming.endings import ending
from streaming.pipeline import Partition

TP, OTHER = TopicPartition("clicks", 3), TopicPartition("clicks", 4)
CONFIG = StreamConfig(model="toy", topics={"events": "clicks"}, group_id="shop")  # type: ignore[arg-type]


def partition() -> Partition:
    contexts = PartitionContexts(ContextSettings(SessionRules(), 5000, 700), 42, None)
    return Partition("clicks-3", contexts, 42, 42)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (KafkaTimeoutError("who knows"), DeliveryError, ["who knows"]),
        (
            UnsupportedCodecError("Libraries for zstd compression codec not found"),
            UserError,
            ["'clicks'", "zstd", "pip install"],
        ),
        (TopicAuthorizationFailedError("clicks"), UserError, ["'shop'", "'clicks'", "Authoriz"]),
        (
            LogTruncationError({TP: OffsetAndMetadata(40, "", 1), OTHER: None}),
            UserError,
            [
                "clicks-3 was cut",
                "offsets 40 to 41",
                "--group shop --topic clicks:3 --reset-offsets --to-offset 40 --execute",
                "clicks-4 was cut by its cluster (an unclean",
            ],
        ),
    ],
)
def test_an_error_of_the_client_is_one_sentence(
    error: KafkaError, kind: type[Exception], said: list[str]
) -> None:
    found = ending(error, CONFIG, {TP: partition()})
    assert type(found) is kind
    for part in said:
        assert part in str(found)


def test_a_defect_stays_one() -> None:
    defect = KafkaError("what is this")
    assert ending(defect, CONFIG, {}) is defect
