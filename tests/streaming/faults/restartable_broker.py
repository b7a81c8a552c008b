"""A real Kafka broker that is killed and comes back on the same data."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from broker_fixtures import (
    APACHE_START,
    Broker,
    apache_environment,
    free_ports,
    need_apache,
    wait_until_ready,
)

#: Half of a start is spent on verifying classes that are always the same.
_QUICK_START = "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"

#: As by default: at once after a start, markers of transactions may go nowhere (see campaign.py).
_OVERRIDES = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "10000"}


class RestartableBroker:
    """Apache Kafka on a port and a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._port = free_ports(3)
        self._starts = 0
        self._process = self._start()
        self.broker = Broker("apache", f"127.0.0.1:{self._port}")
        self.wait()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Starts it again after a kill, and returns at once."""
        self._process = self._start()

    def wait(self) -> float:
        """Returns once it is ready, with the seconds that it took."""
        began = time.monotonic()
        wait_until_ready(self._process, self._log)
        return time.monotonic() - began

    def close(self) -> None:
        """Ends it for good."""
        self.broker.close()
        self.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        self._log = self.directory / f"broker-{self._starts}.log"
        self._starts += 1
        with self._log.open("wb") as output:
            return subprocess.Popen(
                [str(APACHE_START), str(self._port), str(self.directory), "plaintext"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ
                | apache_environment(_OVERRIDES)
                | {"JAVA_TOOL_OPTIONS": _QUICK_START},
            )


@contextlib.contextmanager
def restartable_broker(directory: Path) -> Iterator[RestartableBroker]:
    """A :class:`RestartableBroker` for the time of the block; skips where there is none."""
    need_apache()
    directory.mkdir(parents=True)
    found = RestartableBroker(directory)
    try:
        yield found
    finally:
        found.close()
