"""Single requests to a broker and the responses as they come, for what clients do not show."""

from __future__ import annotations

import socket
import struct
from typing import Any

from kafka.record.default_records import DefaultRecordBatchBuilder

_TIMEOUT_S = 30


class ProtocolClient:
    """One plaintext connection; requests are answered one after the other."""

    def __init__(self, bootstrap_servers: str) -> None:
        host, port = bootstrap_servers.split(",")[0].rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)
        self._stream = self._socket.makefile("rb")

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def is_closed(self) -> bool:
        """Whether the broker closes the connection instead of answering; waits for either."""
        try:
            return self._stream.read(1) == b""
        except ConnectionError:
            return True

    def send(self, request: Any, version: int) -> None:
        request.API_VERSION = version
        request.with_header(correlation_id=7, client_id="test")
        self._socket.sendall(request.encode(framed=True, header=True))

    def receive(self, response_class: Any, version: int) -> Any:
        head = self._stream.read(4)
        assert head, "the broker closed the connection"
        (size,) = struct.unpack(">i", head)
        return response_class.decode(self._stream.read(size), version=version, header=True)

    def call(self, request: Any, response_class: Any, version: int) -> Any:
        self.send(request, version)
        return self.receive(response_class, version)


def record_batch(
    *values: bytes,
    key: bytes | None = None,
    timestamp: int | None = None,
    producer_id: int = -1,
    epoch: int = -1,
    sequence: int = -1,
    transactional: bool = False,
) -> bytes:
    """A record batch (magic 2) as a producer would send it."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=transactional,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        batch_size=1 << 20,
    )
    for offset, value in enumerate(values):
        builder.append(offset, timestamp, key, value, [])
    return bytes(builder.build())
