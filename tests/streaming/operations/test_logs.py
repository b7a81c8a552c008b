"""Log lines as text and as JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from session_rec.errors import UserError
from streaming.logs import failures_logged, set_up_logging


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    root = logging.getLogger()
    names = ("kafka", "kafka.net.selector", "kafka.net.sasl")
    before = root.handlers[:], root.level, [logging.getLogger(n).level for n in names]
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    for name, level in zip(names, before[2], strict=True):
        logging.getLogger(name).setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_each_json_line_is_an_object_with_what_was_given_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging("INFO", "json")
    log = logging.getLogger("shop.floor")
    log.info('two "lines":\n%s', {"a": 1}, extra={"partition": 3, "where": object, "time": "x"})
    log.debug("unseen")
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("it broke")
    logging.getLogger("kafka.conn").warning("weakly-referenced object no longer exists")
    logging.getLogger("kafka.conn").info("unseen")
    first, second = lines(capsys)
    assert first["message"] == "two \"lines\":\n{'a': 1}"
    assert (first["level"], first["logger"], first["partition"]) == ("INFO", "shop.floor", 3)
    assert "class 'object'" in str(first["where"])
    assert str(first["time"]).endswith("Z") and len(str(first["time"])) == 24
    assert set(second) == {"time", "level", "logger", "message", "exception"}
    assert "ValueError: broken" in str(second["exception"])


def test_text_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("WARNING")
    logging.getLogger("shop").warning("at %d", 7, extra={"partition": 3})
    logging.getLogger("shop").info("unseen")
    assert capsys.readouterr().err.endswith("WARNING shop: at 7\n")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_of_the_client_becomes_one_line(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    set_up_logging("WARNING", log_format)
    try:
        raise AttributeError("'NoneType' object has no attribute 'recv'")
    except AttributeError:
        logging.getLogger("kafka.net.transport").exception("%s: closing socket", "<none>")
    (line,) = capsys.readouterr().err.splitlines()
    text = json.loads(line)["message"] if log_format == "json" else line
    assert text.endswith(
        "<none>: closing socket: AttributeError: 'NoneType' object has no attribute 'recv'"
    )


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("set it right"), 2, "set it right"),
        (PermissionError(13, "Permission denied", "x"), 2, "[Errno 13] Permission denied: 'x'"),
        (KeyError("s1"), 1, "a defect of ours: KeyError"),
    ],
)
def test_what_ends_the_process_is_a_json_line_too(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int, message: str
) -> None:
    set_up_logging("INFO", "json")
    with pytest.raises(SystemExit) as caught, failures_logged("json"):
        raise error
    (line,) = lines(capsys)
    assert (caught.value.code, line["level"], line["message"]) == (code, "CRITICAL", message)
    with pytest.raises(type(error)), failures_logged("text"):
        raise error
