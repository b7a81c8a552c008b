"""`python -m streaming.embedded_broker`: the embedded broker as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from kafka import errors as kafka_errors

from session_rec.errors import UserError

from .server import BrokerServer
from .settings import BrokerSettings


def _topic(text: str) -> tuple[str, int]:
    name, _, partitions = text.partition(":")
    if not name or (partitions and not partitions.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME or NAME:PARTITIONS")
    return name, int(partitions or 1)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m streaming.embedded_broker",
        description="In-memory Kafka on 127.0.0.1, for demos and tests. Nothing is kept.",
    )
    parser.add_argument("--port", type=int, default=9092, help="0 takes a free one (default 9092)")
    parser.add_argument(
        "--topic",
        type=_topic,
        action="append",
        default=[],
        metavar="NAME:PARTITIONS",
        help="a topic to create; may be given several times",
    )
    parser.add_argument("--retention-bytes", type=int, default=-1, help="per partition; -1: all")
    parser.add_argument("--retention-ms", type=int, default=-1, help="by record time; -1: all")
    parser.add_argument(
        "--auto-create-topics", action="store_true", help="create a topic when it is asked for"
    )
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="end when standard input is closed, whatever became of the parent; a Ctrl-C in the "
        "terminal is the parent's to act upon",
    )
    return parser.parse_args(arguments)


async def _run(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    if options.with_parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Nothing is ever written to it: it is readable once it is closed.
        loop.add_reader(sys.stdin.fileno(), stopped.set)
    else:
        loop.add_signal_handler(signal.SIGINT, stopped.set)
    server = BrokerServer(
        BrokerSettings(
            port=options.port,
            retention_bytes=options.retention_bytes,
            retention_ms=options.retention_ms,
            auto_create_topics=options.auto_create_topics,
        )
    )
    try:
        for name, partitions in options.topic:
            server.state.topics.create(name, partitions)
    except kafka_errors.BrokerResponseError as error:
        raise UserError(f"topic {name!r} cannot be created: {error.args[0]}") from error
    await server.start()
    print(f"embedded broker ready on {server.bootstrap_servers}", flush=True)
    try:
        await stopped.wait()
    finally:
        await server.stop()


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGINT or SIGTERM; 0, or 2 after one sentence on stderr."""
    try:
        asyncio.run(_run(_parse(arguments)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
