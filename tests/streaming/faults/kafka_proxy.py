"""A TCP proxy before a broker that holds back requests of one kind, or cuts every connection."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator

PRODUCE, FETCH = 0, 1  # keys of Kafka's APIs


class KafkaProxy:
    """Passes Kafka's frames on, both ways; clients that bootstrap here stay here.

    The broker's own address in its answers is replaced by ours: host and port follow one another
    in them, and 127.0.0.1 is as long as itself.

    Attributes:
        received: bytes of answers by API key of the request.
    """

    def __init__(self, broker_port: int) -> None:
        self._upstream = ("127.0.0.1", broker_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._theirs = b"127.0.0.1" + struct.pack(">i", broker_port)
        self._ours = b"127.0.0.1" + struct.pack(">i", self.port)
        self._lock = threading.Condition()
        self._held: set[int] = set()
        self._refusing = self._closed = False
        self._sockets: set[socket.socket] = set()
        self.received: Counter[int] = Counter()
        self.held_back = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def hold(self, *keys: int) -> None:
        """From now on requests of these APIs wait, and what follows them on their connections."""
        with self._lock:
            self._held = set(keys)

    def release(self) -> None:
        """What was held back goes on."""
        with self._lock:
            self._held = set()
            self._lock.notify_all()

    def cut(self) -> None:
        """Ends every connection, and each new one at once, until :meth:`restore`."""
        with self._lock:
            self._refusing = True
            sockets = list(self._sockets)
        for each in sockets:
            _end(each)

    def restore(self) -> None:
        """Connections are taken again."""
        self._refusing = False

    def close(self) -> None:
        self._closed = True
        self.release()
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._refusing:
                    raise ConnectionError
                broker = socket.create_connection(self._upstream)
            except OSError:
                _end(client)
                continue
            with self._lock:
                self._sockets |= {client, broker}
            asked: dict[int, int] = {}  # correlation id -> API key
            for pump in (self._requests, self._answers):
                threading.Thread(target=pump, args=(client, broker, asked), daemon=True).start()

    def _requests(
        self, client: socket.socket, broker: socket.socket, asked: dict[int, int]
    ) -> None:
        with self._pair(client, broker):
            for frame in _frames(client):
                key, _, correlation = struct.unpack_from(">hhi", frame)
                asked[correlation] = key
                with self._lock:
                    self.held_back += key in self._held
                    self._lock.wait_for(lambda key=key: key not in self._held)
                _send(broker, frame)

    def _answers(self, client: socket.socket, broker: socket.socket, asked: dict[int, int]) -> None:
        with self._pair(client, broker):
            for frame in _frames(broker):
                self.received[asked.pop(struct.unpack_from(">i", frame)[0], -1)] += len(frame)
                _send(client, frame.replace(self._theirs, self._ours))

    @contextlib.contextmanager
    def _pair(self, client: socket.socket, broker: socket.socket) -> Iterator[None]:
        try:
            with contextlib.suppress(OSError):
                yield
        finally:
            with self._lock:
                self._sockets -= {client, broker}
            _end(client)
            _end(broker)


def _frames(source: socket.socket) -> Iterator[bytes]:
    with source.makefile("rb") as stream:
        while len(size := stream.read(4)) == 4:
            frame = stream.read(struct.unpack(">i", size)[0])
            if len(frame) < 4:
                return
            yield frame


def _send(target: socket.socket, frame: bytes) -> None:
    target.sendall(struct.pack(">i", len(frame)) + frame)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def kafka_proxy(bootstrap_servers: str) -> Iterator[KafkaProxy]:
    """A proxy before a broker on 127.0.0.1."""
    proxy = KafkaProxy(int(bootstrap_servers.rpartition(":")[2]))
    try:
        yield proxy
    finally:
        proxy.close()
