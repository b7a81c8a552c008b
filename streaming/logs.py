"""Logging of the stream commands: text lines on stderr."""

from __future__ import annotations

import logging

#: What kafka-python says of its own garbage while it closes.
_NOISE = ("weakly-referenced object no longer exists", "Metadata refresh: failed Cancelled")


class _Harmless(logging.Filter):
    """Lets kafka-python's lines about its own closing pass unseen."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(noise in message for noise in _NOISE)


def set_up_logging(level: str) -> None:
    """Logs of ``level`` and above to stderr; kafka-python's from WARNING.

    kafka-python's DEBUG lines hold passwords, so they are never shown.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_Harmless())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    kafka = logging.getLogger("kafka")
    kafka.setLevel(max(logging.WARNING, logging.getLevelName(level)))
    # On a busy machine it tells of every task that the scheduler held back.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
    # SCRAM without TLS is the operator's choice, once made in the settings.
    logging.getLogger("kafka.net.sasl").setLevel(logging.ERROR)
