"""Processes that are started for the time being and never outlive the one that started them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from session_rec.signals import signals_held_back

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
