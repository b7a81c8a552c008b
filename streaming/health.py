"""Whether the daemon lives and whether it is ready, as it is: for HTTP and for systemd."""

from __future__ import annotations

import time
from typing import Any

from streaming.notify import Notifier
from streaming.pipeline import Partition


class Health:
    """Told by the daemon's thread once a round; asked by those of the HTTP server.

    Args:
        limit_s: seconds that a round may take before the daemon counts as stuck.
        notifier: told ``READY=1`` when the group first answered our join, whether or not it gave us
            a partition: what is rebuilt after that takes its time, and systemd must not lose
            patience. Told ``STOPPING=1``, too.

    Attributes:
        partitions: the partitions that are ours, by number; the daemon keeps them up to date.
    """

    def __init__(self, limit_s: float, notifier: Notifier) -> None:
        self.partitions: dict[int, Partition] = {}
        self._limit_s = limit_s
        self._notifier = notifier
        self._round_at = time.monotonic()
        self._joined = False
        self._announced = False
        self._stopping = False

    def beat(self, joined: bool) -> None:
        """A round was done; ``joined`` says whether we are a member of the group and have acted on
        all that it assigned to us."""
        self._round_at = time.monotonic()
        self._joined = joined
        if joined and not self._announced:
            self._announced = self._notifier.send("READY=1", "STATUS=member of the group")
        self._notifier.alive()

    def stop(self) -> None:
        """A signal asked to stop: no traffic is to be sent here any more."""
        self._stopping = True
        self._notifier.send("STOPPING=1", "STATUS=delivering what was taken")

    @property
    def round_age_s(self) -> float:
        """Seconds since the last round ended."""
        return time.monotonic() - self._round_at

    @property
    def alive(self) -> bool:
        """The loop goes round."""
        return self.round_age_s <= self._limit_s

    @property
    def ready(self) -> bool:
        """Nothing stands in the way of serving."""
        return self._obstacle() is None

    def liveness(self) -> dict[str, Any]:
        """The answer of ``/healthz``."""
        return {"alive": self.alive, "last_round_age_s": round(self.round_age_s, 3)}

    def readiness(self) -> dict[str, Any]:
        """The answer of ``/readyz``: what stands in the way, and the state of each partition.

        A member without a partition, one more than there are partitions, is ready: it has nothing
        to rebuild, and a deployment that waits for it must not wait for ever.
        """
        obstacle = self._obstacle()
        states = {
            str(number): "rebuilding" if p.rebuilding else "serving"
            for number, p in sorted(self.partitions.copy().items())
        }
        return {"ready": obstacle is None, "obstacle": obstacle, "partitions": states}

    def _obstacle(self) -> str | None:
        if self._stopping:
            return "stopping"
        if not self.alive:
            return f"no round in {self.round_age_s:.0f} s"
        if not self._joined:
            return "not a member of the group yet"
        if any(p.rebuilding for p in self.partitions.copy().values()):
            return "contexts are being rebuilt"
        return None
