"""What a service tells systemd over ``NOTIFY_SOCKET`` (sd_notify(3)), by the standard library."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Sends states to the service manager; does nothing where none listens.

    Args:
        environ: holds ``NOTIFY_SOCKET``, and ``WATCHDOG_USEC`` where the unit asks for a watchdog.

    >>> Notifier({}).send("READY=1")  # not started by systemd: nobody is told
    False
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A name in the abstract namespace is written with @ in place of the leading NUL.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every_s = _watchdog_s(environ) / 2
        self._alive_at = 0.0

    def send(self, *lines: str) -> bool:
        """Sends ``NAME=value`` lines as one message; True if they went out.

        A manager that cannot be told is no reason to stop serving, so nothing is raised.
        """
        if not self._address:
            return False
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.setblocking(False)
            s.sendto("\n".join(lines).encode(), self._address)
            return True
        return False

    def alive(self) -> None:
        """Feeds the watchdog, twice per its period however often this is called."""
        now = time.monotonic()
        if self._every_s and now - self._alive_at >= self._every_s:
            self._alive_at = now
            self.send("WATCHDOG=1")


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """The watchdog's period; 0 where there is none, or it is meant for another process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return max(int(environ.get("WATCHDOG_USEC", "0")), 0) / 1e6
    except ValueError:
        return 0.0
