"""``session-rec dead-letters``: list, show and redrive, on letters as the daemon makes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from broker_fixtures import Broker
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer
from stream_support import Stage
from typer.testing import CliRunner, Result

from session_rec.config import parse_config
from session_rec.console import out
from session_rec.errors import UserError
from streaming import redrive as redriving
from streaming.config import KafkaSettings
from streaming.dead_letter_commands import _selection, register
from streaming.dead_letters import DeadLetters
from streaming.kafka_clients import make_producer, make_reader
from streaming.letters import LetterBox, letter, parse_position, parse_time
from streaming.safe_text import safe_block, safe_text

NOW = 1_700_000_000_000
HOSTILE = b"\x1b]0;owned\x07\xe2\x80\xae\r\n"
_app = typer.Typer()
register(_app)


def run(stage: Stage, *arguments: str) -> Result:
    """The command's result; a user's mistake is its exception."""
    settings = [a for s in stage.settings() for a in ("--set", s)]
    # As wide whatever ran before: where a row is folded its words stand on other lines.
    width, out.width = out._width, 300
    try:
        return CliRunner().invoke(_app, ["dead-letters", *arguments, *settings])
    finally:
        out._width = width


def text(result: Result) -> str:
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def brokers(stage: Any) -> dict[str, str]:
    return {"bootstrap_servers": stage.broker.bootstrap_servers}


def write(stage: Stage, *messages: tuple[bytes | None, bytes | None, str], **more: Any) -> None:
    """A dead letter for each (key, value, reason), from offsets 100, 101, … of partition 1."""
    make = DeadLetters(stage.dead_letters, more.pop("limit", 1_000_000))
    producer = KafkaProducer(bootstrap_servers=stage.broker.bootstrap_servers)
    for n, (key, value, reason) in enumerate(messages):
        headers = more.get("headers", [("trace", b"t%d" % n)])
        record = SimpleNamespace(
            topic=stage.events, partition=1, offset=100 + n, timestamp=NOW + n,
            key=key, value=value, headers=headers,
        )  # fmt: skip
        made = make.make(record, reason)
        producer.send(made.topic, key=made.key, value=made.value, headers=made.headers, partition=0)
    producer.flush()
    producer.close()


@pytest.fixture
def stage(embedded_broker: Broker, tmp_path: Path) -> Iterator[Stage]:
    yield Stage(embedded_broker, tmp_path / "no-model")


def test_letters_go_back_as_they_were_to_the_partition_they_came_from(
    broker: Broker, tmp_path: Path
) -> None:
    stage = Stage(broker, tmp_path / "no-model")
    write(stage, (b"k\xff", b"\x00v", "bad json"), (None, b"w", "null key"), (b"", b"", "empty"))
    out = text(run(stage, "redrive"))
    assert "3 letters sent, 0 left out" in out
    sent = stage.read(stage.events)
    assert [(r.partition, r.key, r.value, r.timestamp) for r in sent] == [
        (1, b"k\xff", b"\x00v", NOW),
        (1, None, b"w", NOW + 1),
        (1, b"", b"", NOW + 2),
    ]
    assert [r.headers for r in sent] == [
        [("trace", b"t%d" % n), ("session-rec.redrives", b"1")] for n in range(3)
    ]


def test_a_header_without_a_value_goes_back_without_one(broker: Broker, tmp_path: Path) -> None:
    """Null and empty are two things, to whoever wrote the record."""
    stage = Stage(broker, tmp_path / "no-model")
    headers = [("null", None), ("empty", b""), ("twice", b"1"), ("twice", None)]
    theirs = Producer({"bootstrap.servers": broker.bootstrap_servers})
    theirs.produce(stage.events, b"{", b"k", partition=0, headers=headers)
    assert theirs.flush(20) == 0
    (record,) = stage.read(stage.events)
    made = DeadLetters(stage.dead_letters, 1_000_000).make(record, "bad")
    ours = make_producer(parse_config(brokers(stage), KafkaSettings, "test"))
    ours.send(made.topic, key=made.key, value=made.value, headers=made.headers)
    ours.flush()
    ours.close()
    assert "header:  null = null" in text(run(stage, "show", "0:0"))
    assert "1 letters sent" in text(run(stage, "redrive"))
    sent = stage.read(stage.events)[-1]
    assert sent.headers == [*headers, ("session-rec.redrives", b"1")]


def test_a_letter_cannot_loop_for_ever(stage: Stage) -> None:
    write(stage, (b"k", b"{", "bad"), headers=[("session-rec.redrives", b"2")])
    assert "1 letters sent" in text(run(stage, "redrive"))
    (sent,) = stage.read(stage.events)
    assert sent.headers == [("session-rec.redrives", b"3")]
    # The daemon makes a letter of it again: from then on it stays where it is.
    stage.fresh_outputs()
    write(stage, (b"k", b"{", "bad"), headers=sent.headers)
    out = text(run(stage, "redrive"))
    assert "1 left out, sent back too often already" in out and "0 letters to be sent" in out
    assert "1 letters sent" in text(run(stage, "redrive", "--max-redrives", "4"))
    assert len(stage.read(stage.events)) == 2


def test_what_cannot_go_back_is_said_and_counted(stage: Stage) -> None:
    write(stage, (b"k", b"v" * 9_000, "too long"), (b"k", b"v", "short"), limit=3_000)
    write(stage, (None, None, "null key"))
    producer = KafkaProducer(bootstrap_servers=stage.broker.bootstrap_servers)
    producer.send(stage.dead_letters, value=b"not ours", headers=[("session-rec.topic", b"x")])
    producer.flush()
    producer.close()
    out = text(run(stage, "redrive"))
    assert "1 left out, cut: only their first bytes are there" in out
    assert "1 left out, without key and value" in out
    assert "1 left out, not dead letters of session-rec" in out
    assert "1 letters sent, 3 left out" in out
    assert [r.value for r in stage.read(stage.events)] == [b"v"]


def test_selections(stage: Stage) -> None:
    write(stage, *[(b"k", b"%d" % n, f"reason {'AB'[n % 2]}") for n in range(6)])
    newest = max(r.timestamp for r in stage.read(stage.dead_letters))
    after = datetime.fromtimestamp((newest + 1) / 1000, UTC).isoformat()
    reader = make_reader(
        parse_config({"bootstrap_servers": stage.broker.bootstrap_servers}, KafkaSettings, "test")
    )
    box = LetterBox(reader, stage.dead_letters)

    def offsets(
        reason: str | None = None,
        source: str | None = None,
        since: str | None = None,
        until: str | None = None,
        **more: Any,
    ) -> list[int]:
        return [r.offset for r in box.read(_selection(reason, source, since, until, **more))]

    assert offsets() == [0, 1, 2, 3, 4, 5]
    assert offsets("REASON b") == [1, 3, 5]
    assert offsets(positions=["0:4", "0:1"]) == [1, 4]
    assert offsets(begin=["0:4"]) == [4, 5]
    assert offsets(newest=1) == [5]
    assert offsets(source=f"{stage.events}-0") == []
    assert offsets(source=f"{stage.events}-1") == offsets(source=stage.events) == offsets()
    assert offsets(since="1h", until="30m") == []
    assert offsets(since="1h") == offsets(until=after) == offsets()
    assert offsets(since=after) == []
    reader.close()


def test_a_dry_run_sends_nothing_and_many_letters_want_a_yes(stage: Stage) -> None:
    write(stage, *[(b"k", b"v", f"ts {n} is odd") for n in range(5)])
    out = text(run(stage, "redrive", "--dry-run", "--to", stage.predictions))
    assert f"5 would be sent to {stage.predictions}: ts N is odd" in out
    refused = run(stage, "redrive", "--ask-above", "4")
    assert isinstance(refused.exception, UserError)
    assert "5 letters would be sent back: confirm with --yes" in str(refused.exception)
    assert stage.read(stage.events) == stage.read(stage.predictions) == []
    text(run(stage, "redrive", "--ask-above", "4", "--yes", "--to", stage.predictions, "--now"))
    sent = stage.read(stage.predictions)
    assert len(sent) == 5 and all(r.timestamp > NOW + 10**9 for r in sent)


@pytest.mark.parametrize("how", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_redrive_says_where_to_go_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, how: type[BaseException]
) -> None:
    write(stage, *[(b"k", b"%d" % n, "bad") for n in range(10)])
    monkeypatch.setattr(redriving, "_BATCH", 3)
    real, calls = redriving._hand_over, []

    def until_the_eighth(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 8:
            raise how(1)
        return real(*arguments)

    monkeypatch.setattr(redriving, "_hand_over", until_the_eighth)
    stopped = run(stage, "redrive")
    assert stopped.exit_code != 0
    assert "6 letters sent" in stopped.output
    found = re.search(r"go on, give the same command and --from (\S+)", stopped.output)
    assert found and found[1] == "0:6"
    monkeypatch.undo()
    text(run(stage, "redrive", "--from", found[1]))
    # Nothing is missing, and no more than a batch came twice.
    got = [int(r.value) for r in stage.read(stage.events)]
    assert set(got) == set(range(10)) and len(got) <= 13


def test_list_counts_by_reason_and_source(stage: Stage, tmp_path: Path) -> None:
    assert "no such letters" in text(run(stage, "list"))
    write(
        stage,
        (b"k", b"v", "ts 5 is too far"),
        (b"k", b"v", "ts 6 is too far"),
        (b"k", b"v" * 9_000, "schema id 7"),
        (b"k", b"v", "evil " + HOSTILE.decode()),
        limit=3_000,
    )
    found = tmp_path / "found.json"
    out = text(run(stage, "list", "--json", str(found)))
    rows = [line.split() for line in out.splitlines() if stage.events in line]
    assert [row[:4] for row in rows if row[0] == "ts"] == [["ts", "N", "is", "too"]]
    assert any(row[:3] == ["schema", "id", "7"] for row in rows)
    harmless(out)
    report = json.loads(found.read_text())
    assert (report["letters"], report["foreign"]) == (4, 0)
    first = report["groups"][0]
    assert (first["reason"], first["letters"], first["newest"]) == ("ts N is too far", 2, "0:1")
    assert first["source"] == f"{stage.events}-1"
    assert {g["reason"]: g["cut"] for g in report["groups"]}["schema id 7"] == 1
    assert "2 letters in topic" in text(run(stage, "list", "--limit", "2"))
    assert "no such letters" in text(run(stage, "list", "--since", "2100-01-01"))


def test_show_prints_all_and_harms_no_terminal(stage: Stage) -> None:
    write(
        stage,
        (HOSTILE, b'{"a": "caf\xc3\xa9"}\n' + HOSTILE, "why " + HOSTILE.decode()),
        (None, b"\xff\x1b[31mred", "binary"),
        headers=[("evil\x1b", HOSTILE)],
    )
    out = text(run(stage, "show", "0:0", "0:1"))
    harmless(out)
    assert '{"a": "café"}' in out and "\\x1b]0;owned\\x07\\u202e\\r" in out
    assert "evil\\x1b = \\x1b]0;owned" in out
    assert f"from:    {stage.events}, partition 1, offset 100" in out
    assert "00000000  ff 1b 5b 33 31 6d 72 65 64" in out and "..[31mred" in out
    assert "key:\n    null" in out
    cut = text(run(stage, "show", "0:1", "--most-bytes", "2"))
    assert "… 7 more bytes" in cut


def harmless(out: str) -> None:
    assert all(c.isprintable() or c == "\n" for c in out), repr(out)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "7"], "is no position: give partition:offset"),
        (["show", "0:5"], "there is no letter at 0:5: partition 0 of topic .* holds 0 to 0"),
        (["show", "3:0"], "there is no letter at 3:0: .* has partitions 0 to 0"),
        (["redrive", "0:9"], "there is no letter at 0:9"),
        (["redrive", "--from", "4:0"], "there is no letter at 4:0"),
        (["redrive", "--since", "soon"], "'soon' is no time"),
        (["redrive", "--to", "nowhere"], "topic 'nowhere' does not exist"),
        (["list", "--set", 'topics.dead_letters="none"'], "topic 'none' does not exist"),
    ],
)
def test_mistakes_are_one_sentence(stage: Stage, arguments: list[str], sentence: str) -> None:
    write(stage, (b"k", b"v", "why"))
    settings = [a for s in stage.settings() for a in ("--set", s)]
    command = ["dead-letters", arguments[0], *settings, *arguments[1:]]
    with pytest.raises(UserError, match=sentence) as found:
        CliRunner().invoke(_app, command, catch_exceptions=False)
    assert "\n" not in str(found.value)
    assert stage.read(stage.events) == []


@given(st.binary(max_size=200), st.integers(1, 300))
def test_no_bytes_reach_the_terminal_as_they_are(data: bytes, most: int) -> None:
    for line in [safe_text(data), *safe_block(data, most)]:
        assert line.isprintable()


def test_times_and_positions() -> None:
    assert parse_time("90m", now_ms=10_000_000) == 10_000_000 - 90 * 60_000
    assert parse_time("2023-11-14T22:13:20+00:00") == NOW
    assert parse_position("3:12345") == (3, 12345)
    for bad in ("", "1", ":", "-1:2", "1:-2", "1:2:3"):
        with pytest.raises(UserError):
            parse_position(bad)


@given(st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=4))
def test_any_record_of_the_topic_is_a_letter(headers: list[tuple[str, bytes]]) -> None:
    names = ["reason", "topic", "partition", "offset", "timestamp", "redrives"]
    theirs = [(f"session-rec.{names[n % 6]}", value) for n, (_, value) in enumerate(headers)]
    found = letter(
        SimpleNamespace(
            partition=0, offset=1, timestamp=2, key=b"k", value=b"v", headers=headers + theirs
        )
    )
    assert found.topic is None and (found.key, found.value) == (b"k", b"v")
