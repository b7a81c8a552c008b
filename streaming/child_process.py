"""Processes that are started for the time being and never outlive the one that started them."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

_STOP_S = 15.0  #: from SIGTERM to SIGKILL


@contextmanager
def child_process(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Runs ``command`` and stops it at the end of the block: SIGTERM, after 15 s SIGKILL.

    Its standard input is a pipe that nothing is ever written to. It closes when this process ends,
    by SIGKILL too, so a command that ends on that (``--with-parent``) cannot be left behind.

    Args:
        options: of ``subprocess.Popen``.

    >>> with child_process(["cat"]) as process:
    ...     process.poll() is None
    True
    >>> process.returncode
    -15
    """
    with ExitStack() as stack:
        with signals_held_back():
            process = subprocess.Popen(command, stdin=subprocess.PIPE, **options)
            stack.callback(_stop, process)
        yield process


@contextmanager
def signals_held_back() -> Iterator[None]:
    """SIGINT and SIGTERM take effect only at the end of the block.

    Else their handlers may raise between the fork and the line that knows of the child. They are
    not masked: a child would inherit that. Outside of the main thread nothing needs holding back,
    since Python runs no handler there.

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


def _stop(process: subprocess.Popen[Any]) -> None:
    try:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
