"""Logging of the stream commands: lines on stderr, as text or as JSON.

What a line may say at INFO and above: offsets, partitions, counts, settings. Never a session id, an
item id or the content of a message.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from session_rec.errors import UserError

log = logging.getLogger(__name__)

#: What kafka-python says of its own garbage while it closes.
_NOISE = ("weakly-referenced object no longer exists", "Metadata refresh: failed Cancelled")

#: What every record has; what it has besides was given as ``extra``.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _Harmless(logging.Filter):
    """Lets kafka-python's lines about its own closing pass unseen."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(noise in message for noise in _NOISE)


class _OneLine(logging.Filter):
    """Folds a traceback that kafka-python logs into its line: it is about the client's inside (a
    socket closed while it was read), and whoever reads a traceback looks for a defect of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.name.split(".")[0] == "kafka":
            error = record.exc_info[1]
            record.msg = f"{record.getMessage()}: {type(error).__name__}: {error}"
            record.args, record.exc_info, record.exc_text = None, None, None
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``logger``, ``message``, ``exception``
    where there is one, and what was given as ``extra``.

    >>> record = logging.makeLogRecord(
    ...     {"name": "streaming.daemon", "levelname": "INFO", "msg": "at %d", "args": (7,),
    ...      "created": 0.25, "partition": 3})
    >>> JsonFormatter().format(record)
    '{"time":"1970-01-01T00:00:00.250Z","level":"INFO","logger":"streaming.daemon",\
"message":"at 7","partition":3}'
    """

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        for name, value in record.__dict__.items():
            if name not in _STANDARD:
                line.setdefault(name, value)
        return msgspec.json.encode(line, enc_hook=str).decode()


def set_up_logging(level: str, log_format: str = "text") -> None:
    """Logs of ``level`` and above to stderr; kafka-python's from WARNING.

    kafka-python's DEBUG lines hold passwords, so they are never shown.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter()
        if log_format == "json"
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    handler.addFilter(_Harmless())
    handler.addFilter(_OneLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    kafka = logging.getLogger("kafka")
    kafka.setLevel(max(logging.WARNING, logging.getLevelName(level)))
    # On a busy machine it tells of every task that the scheduler held back.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
    # SCRAM without TLS is the operator's choice, once made in the settings.
    logging.getLogger("kafka.net.sasl").setLevel(logging.ERROR)


@contextmanager
def failures_logged(log_format: str) -> Iterator[None]:
    """Where logs are JSON, what ends the process is a line of them too, with the same exit code
    that the command line gives: 2 for what the user can set right, 1 for a defect."""
    try:
        yield
    except Exception as e:
        if log_format != "json":
            raise
        if isinstance(e, (UserError, PermissionError)):
            log.critical("%s", e)
            sys.exit(2)
        log.critical("a defect of ours: %s", type(e).__name__, exc_info=True)
        sys.exit(1)
