"""Sockets and frames: requests in, responses out, in the order of each connection."""

from __future__ import annotations

import asyncio
import io
import logging
import struct

from kafka import errors as kafka_errors
from kafka.protocol.api_header import RequestHeader

from session_rec.errors import UserError

from .apis import API_VERSIONS_KEY, APIS, Api, api_versions_response
from .settings import HOST, MAX_REQUEST_BYTES, BrokerSettings
from .state import BrokerState, Caller

_log = logging.getLogger(__name__)
_KEY_AND_VERSION = struct.Struct(">hh")
_READ_BUFFER_BYTES = 1 << 20


class BrokerServer:
    """Serves one `BrokerState` on 127.0.0.1; to be started and stopped in one event loop."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.state = BrokerState(settings)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._retention: asyncio.Task[None] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """host:port, once started."""
        return f"{HOST}:{self.state.port}"

    async def start(self) -> None:
        """Listens; raises UserError where the port is taken."""
        try:
            self._server = await asyncio.start_server(
                self._serve, HOST, self.state.settings.port, limit=_READ_BUFFER_BYTES
            )
        except OSError as error:
            raise UserError(
                f"the embedded broker cannot listen on {HOST}:{self.state.settings.port}"
                f" ({error.strerror}): stop what listens there or choose another port"
            ) from error
        self.state.port = self._server.sockets[0].getsockname()[1]
        self._retention = asyncio.create_task(self._enforce_retention())

    async def stop(self) -> None:
        """Closes every connection; what was produced is gone."""
        if self._retention is not None:
            self._retention.cancel()
        if self._server is not None:
            self._server.close()
        self.state.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _enforce_retention(self) -> None:
        while True:
            await asyncio.sleep(self.state.settings.retention_check_ms / 1000)
            self.state.topics.enforce_retention()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        host = writer.get_extra_info("peername")[0]
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(4), "big", signed=True)
                if not 0 < size <= MAX_REQUEST_BYTES:
                    _log.warning("connection from %s closed: request of %d bytes", host, size)
                    return
                response = await self._answer(await reader.readexactly(size), host)
                if response is not None:
                    writer.write(response)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        except asyncio.CancelledError:
            pass  # the broker stops; asyncio would log the cancellation of a connection
        except Exception:
            _log.exception("connection from %s closed: its request cannot be answered", host)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, frame: bytes, host: str) -> bytes | bytearray | None:
        key, version = _KEY_AND_VERSION.unpack_from(frame)
        api = APIS.get(key)
        if api is None:
            raise kafka_errors.InvalidRequestError(f"API {key} is not one of the embedded broker's")
        stream = io.BytesIO(frame)
        if not api.oldest <= version <= api.newest:
            return self._answer_unsupported(key, version, api, stream)
        header = RequestHeader.decode(stream, flexible=api.request.flexible_version_q(version))
        request = api.request.decode(memoryview(frame)[stream.tell() :], version=version)
        caller = Caller(header.client_id or "", host, version)
        response = await api.handle(self.state, request, caller)
        if response is None:
            return None
        return _encode(response, version, header.correlation_id)

    def _answer_unsupported(
        self, key: int, version: int, api: Api, stream: io.BytesIO
    ) -> bytes | bytearray:
        if key != API_VERSIONS_KEY:
            raise kafka_errors.InvalidRequestError(f"API {key} version {version} is not supported")
        header = RequestHeader.decode(stream, flexible=False)
        response = api_versions_response(kafka_errors.UnsupportedVersionError.errno)
        return _encode(response, 0, header.correlation_id)


def _encode(response, version: int, correlation_id: int) -> bytes | bytearray:  # type: ignore[no-untyped-def]
    response.API_VERSION = version
    response.with_header(correlation_id=correlation_id)
    encoded: bytes | bytearray = response.encode(header=True, framed=True)
    return encoded
