"""What a training run changes in its process, and puts back: torch's settings, signal handlers."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

import torch


@contextmanager
def torch_settings(threads: int) -> Iterator[None]:
    """Deterministic algorithms, ``threads`` threads and an own random state within the block."""
    before = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    debug: Any = torch.utils.deterministic
    filled = debug.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # A debugging aid that the mode above switches on; it costs a fifth of each step here.
    debug.fill_uninitialized_memory = False
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(deterministic)
        debug.fill_uninitialized_memory = filled


class StopRequest:
    """Turns the first SIGINT or SIGTERM into a request that the loop obeys between two steps.

    A second signal acts at once. Outside the main thread, where Python allows no handlers, it
    does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._signal = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def obey(self) -> None:
        """Raises KeyboardInterrupt or SystemExit if a signal has come."""
        if self._signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self._signal:
            sys.exit(128 + self._signal)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested, self._signal = True, number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
