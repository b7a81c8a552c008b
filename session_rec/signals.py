"""Signals that must not fall between two lines."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals_held_back() -> Iterator[None]:
    """SIGINT and SIGTERM take effect only at the end of the block.

    Else their handlers may raise between the fork and the line that knows of the child. They are
    not masked: a child would inherit that. Outside of the main thread nothing needs holding back,
    since Python runs no handler there.

    >>> import subprocess
    >>> with signals_held_back():
    ...     process = subprocess.Popen(["true"])
    >>> process.wait()
    0
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    # An ignored one stays so, for the child inherits that; None is one that is not Python's.
    taken = {n: h for n, h in before.items() if h not in (signal.SIG_IGN, None)}
    try:
        for number in taken:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
        for late in came[:1]:
            signal.raise_signal(late)
