"""Stopping: the first signal drains within a deadline, the second stops at once."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

log = logging.getLogger(__name__)

#: Exit code when the deadline passed before everything was committed.
DEADLINE_PASSED = 3


class Shutdown:
    """Listens for SIGTERM and SIGINT.

    Args:
        timeout_s: seconds from the first signal to a hard stop.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._when_requested: Callable[[], object] | None = None
        self.requested = False

    def begin(self, when_requested: Callable[[], object]) -> None:
        """From now on there may be something to drain: the first signal only asks to stop. Until
        then it ends the process, with exit code 0.

        Args:
            when_requested: called once a signal asks to stop.
        """
        self._when_requested = when_requested

    def install(self) -> None:
        """Takes over the signals of this process; call it on the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def follow_parent(self) -> None:
        """The end of standard input asks to stop as well: the process that started us has ended.

        A Ctrl-C in the terminal is then that process's to act upon.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=self._await_end_of_input, daemon=True).start()

    def _await_end_of_input(self) -> None:
        with suppress(OSError):  # no standard input at all is a closed one
            while os.read(0, 4096):
                pass
        self._request()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            os._exit(128 + number)
        self._request()

    def _request(self) -> None:
        if self._when_requested is None:
            log.info("stopped before anything was taken")
            logging.shutdown()
            os._exit(0)
        self.requested = True
        self._when_requested()
        timer = threading.Timer(self._timeout_s, self._give_up)
        timer.daemon = True
        timer.start()

    def _give_up(self) -> None:
        log.error(
            "not drained within %g s: stopping; what is not committed will be repeated",
            self._timeout_s,
        )
        logging.shutdown()
        os._exit(DEADLINE_PASSED)
