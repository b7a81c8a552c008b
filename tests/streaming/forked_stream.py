"""``session-rec stream`` in forks of a process that has imported everything already.

A start costs most of a second of imports otherwise, and the suite starts about a hundred daemons.
As a program it forks a process for each message on a socket: settings and environment as JSON, with
two files, where its log goes and where its process id and, in the end, its exit code are written.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import os
import random
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

import onnxruntime  # noqa: F401

import session_rec.cli
import streaming.commands
import streaming.daemon
import streaming.http_server
import streaming.transactions  # noqa: F401

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_LARGEST = 1 << 16  # of a message, bytes


def become_stream(
    settings: Sequence[str], log: int, prepare: Callable[[], None] = lambda: None
) -> NoReturn:
    """Is ``session-rec stream`` with these settings from here on, in a fork of its own.

    Args:
        log: file descriptor that standard error goes to; no other file stays open.
        prepare: called before anything else.
    """
    code = 1
    try:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for target, source in ((0, nothing), (1, nothing), (2, log)):
            os.dup2(source, target)
        os.closerange(3, 1024)
        random.seed()
        prepare()
        sys.argv = ["session-rec", "stream"]
        for setting in settings:
            sys.argv += ["--set", setting]
        session_rec.cli.main()
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        # What an interpreter does when it ends.
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
        sys.stderr.flush()
        os._exit(code)


def main(orders: socket.socket) -> None:
    """Forks a process per message, until the other end is closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:  # the process has ended
                    pid, told = key.data
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _, status = os.waitpid(pid, 0)
                    _tell(told, f"{os.waitstatus_to_exitcode(status)}\n")
                    os.close(told)
                    continue
                message, files, _, _ = socket.recv_fds(orders, _LARGEST, 2)
                if not message:
                    return
                order, (log, told) = json.loads(message), files
                pid = os.fork()
                if pid == 0:
                    os.environ.clear()
                    os.environ.update(order["env"])
                    become_stream(order["settings"], log)
                os.close(log)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, told))
                _tell(told, f"{pid}\n")


def _tell(told: int, line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(told, line.encode())


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
