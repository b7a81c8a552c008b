"""Starts daemons that say where they are, each in a process of its own.

Reads lines ``{"directory": ..., "settings": [...]}`` from standard input and answers each with a
process id. Everything is imported once and then forked, which saves seconds per start; what a
process does from there on is ``session-rec stream``. Its log, exit code and, after a clean stop,
its contexts are files of the directory.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from forked_stream import become_stream
from kafka import KafkaConsumer, KafkaProducer
from kafka.coordinator.consumer import ConsumerCoordinator
from stages import Announcer

from streaming.assignment import Assignment
from streaming.daemon import Daemon
from streaming.pipeline import Pipeline
from streaming.transactions import TransactionalDelivery


def wrap(owner: type, name: str, around: Callable[..., Any]) -> None:
    """Puts ``around(real, self, ...)`` in the place of a method."""
    real = getattr(owner, name)
    setattr(owner, name, lambda self, *args, **more: around(real, self, *args, **more))


def announce(directory: Path) -> None:
    """Has every stage of this process's daemon announced."""
    told = Announcer(directory)

    def poll(real: Any, self: Any) -> Any:
        told.at("idle")
        batch = real(self)
        if batch:
            told.at("after poll")
        return batch

    def answer(real: Any, self: Any, questions: Any) -> Iterator[Any]:
        for outputs in real(self, questions):
            told.at("after score")
            yield outputs

    def flush(real: Any, self: Any, timeout: float | None = None) -> None:
        told.at("after produce")
        real(self, timeout=timeout)
        told.at("after flush")

    def commit(real: Any, self: Any, *args: Any, **more: Any) -> Any:
        if not self.assignment():
            return real(self, *args, **more)  # the group's first commit, before it is joined
        return ended(real, self, *args, **more)

    def ended(real: Any, self: Any, *args: Any, **more: Any) -> Any:
        told.at("before commit")
        done = real(self, *args, **more)
        told.at("after commit")
        told.round_done()
        return done

    def joined(real: Any, self: Any, *args: Any) -> Any:
        answer = real(self, *args)
        told.at("rebalance: joined")
        return answer

    def listener(real: Any, self: Any, partitions: Any) -> None:
        real(self, partitions)
        told.at("rebalance: told")

    def begin(real: Any, self: Any, *args: Any, **more: Any) -> None:
        told.at("rebalance: begins")
        real(self, *args, **more)

    def drain(real: Any, self: Any) -> None:
        real(self)
        contexts = {
            tp.partition: {
                "evicted": p.contexts.evicted,
                "sessions": {k: [list(e) for e in b] for k, b in p.contexts.snapshot().items()},
            }
            for tp, p in self._partitions.items()
        }
        (directory / "contexts.json").write_text(json.dumps(contexts, default=str))

    wrap(Daemon, "_poll", poll)
    wrap(Pipeline, "answer", answer)
    wrap(KafkaProducer, "flush", flush)
    wrap(KafkaConsumer, "commit", commit)
    wrap(TransactionalDelivery, "_end", ended)
    wrap(ConsumerCoordinator, "_process_join_group_response", joined)
    wrap(Assignment, "on_partitions_assigned", listener)
    wrap(Assignment, "on_partitions_revoked", listener)
    wrap(Daemon, "_begin", begin)
    wrap(Daemon, "_drain", drain)


def run(directory: Path, settings: list[str]) -> NoReturn:
    """``session-rec stream`` in a fresh fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    log = os.open(directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    become_stream(settings, log, lambda: announce(directory))


def main() -> None:
    """Forks a process per line, until standard input ends."""
    running: dict[int, Path] = {}

    def reap(number: int, frame: object) -> None:
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            written = running[pid] / "exit.new"
            written.write_text(str(os.waitstatus_to_exitcode(status)))
            written.rename(running.pop(pid) / "exit")

    signal.signal(signal.SIGCHLD, reap)
    for line in sys.stdin:
        order = json.loads(line)
        directory = Path(order["directory"])
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            run(directory, order["settings"])
        running[pid] = directory
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        print(pid, flush=True)


if __name__ == "__main__":
    main()
