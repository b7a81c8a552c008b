"""Sends dead letters back to where they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from session_rec.errors import UserError
from streaming.dead_letters import REDRIVES
from streaming.letters import Letter
from streaming.outputs import Headers

#: Letters handed over before the brokers' answers are waited for: what an interruption may repeat.
_BATCH = 200
_FLUSH_S = 60.0

CUT = "cut: only their first bytes are there"
FOREIGN = "not dead letters of session-rec"
LOOPING = "sent back too often already"
UNSENDABLE = "without key and value: the client sends no such message"
TOO_LARGE = "larger than the client sends"


@dataclass
class Plan:
    """What becomes of each letter.

    Attributes:
        to: topic to send to; None is the one that the letter came from.
        most: a message that was sent back so often is not sent again.
        now: whether messages get a new timestamp instead of their own.
    """

    to: str | None = None
    most: int = 3
    now: bool = False

    def obstacle(self, letter: Letter) -> str | None:
        """Why the letter cannot be sent back; None if it can."""
        if letter.topic is None:
            return FOREIGN
        if letter.cut:
            return CUT
        if letter.unsendable:
            return UNSENDABLE
        return LOOPING if letter.redrives >= self.most else None

    def target(self, letter: Letter) -> str:
        """The topic that it goes to."""
        assert letter.topic is not None  # no obstacle
        return self.to or letter.topic


@dataclass
class Tally:
    """What a redrive did, or would do.

    Attributes:
        sent: letters by (target topic, reason).
        skipped: letters by obstacle.
        next_offset: by partition, the first letter that is not known to be dealt with.
    """

    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    next_offset: dict[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Letters sent."""
        return self.sent.total()

    @property
    def targets(self) -> list[str]:
        """Topics sent to."""
        return sorted({topic for topic, _ in self.sent})


def survey(letters: Iterable[Letter], plan: Plan) -> Tally:
    """What :func:`redrive` would do."""
    tally = Tally()
    for letter in letters:
        obstacle = plan.obstacle(letter)
        if obstacle is None:
            tally.sent[plan.target(letter), letter.reason] += 1
        else:
            tally.skipped[obstacle] += 1
    return tally


def redrive(
    letters: Iterator[Letter],
    plan: Plan,
    producer: KafkaProducer,
    tally: Tally,
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Sends the letters back, and counts into ``tally`` what the brokers have.

    Interrupted at any place, ``tally.next_offset`` tells where to go on: of what lies before it
    everything was dealt with, of what lies behind it at most a batch was sent already.

    Raises:
        UserError: the brokers do not take a message.
    """
    while batch := list(islice(letters, _BATCH)):
        for letter in batch:
            tally.next_offset.setdefault(letter.partition, letter.offset)
        _send(batch, plan, producer, tally)
        progress(len(batch))


def _send(batch: list[Letter], plan: Plan, producer: KafkaProducer, tally: Tally) -> None:
    handed = []
    skipped: Counter[str] = Counter()
    for letter in batch:
        obstacle = plan.obstacle(letter)
        if obstacle is not None:
            skipped[obstacle] += 1
            continue
        try:
            handed.append((letter, _hand_over(letter, plan, producer)))
        except MessageSizeTooLargeError:
            skipped[TOO_LARGE] += 1
        except KafkaError as e:
            raise UserError(f"letter {letter.position} cannot be sent back: {e}") from None
    try:
        producer.flush(timeout=_FLUSH_S)
    except KafkaError as e:
        raise UserError(f"letters cannot be sent back: {e}") from None
    for letter, future in handed:
        if not future.succeeded():
            raise UserError(
                f"letter {letter.position} was not taken by topic {plan.target(letter)!r}: "
                f"{future.exception or 'no answer'}"
            )
    tally.skipped += skipped
    for letter, _ in handed:
        tally.sent[plan.target(letter), letter.reason] += 1
    for letter in batch:
        tally.next_offset[letter.partition] = letter.offset + 1


def _hand_over(letter: Letter, plan: Plan, producer: KafkaProducer) -> Any:
    topic = plan.target(letter)
    # Where the session's other events are: another producer may spread keys in another way.
    known = producer.partitions_for(topic) if topic == letter.topic else ()
    headers: Headers = [*letter.headers, (REDRIVES, str(letter.redrives + 1).encode())]
    return producer.send(
        topic,
        key=letter.key,
        value=letter.value,
        headers=headers,
        partition=letter.source_partition if letter.source_partition in known else None,
        timestamp_ms=None if plan.now or letter.timestamp_ms < 0 else letter.timestamp_ms,
    )
