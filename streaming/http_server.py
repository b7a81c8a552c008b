"""A small HTTP server that a stranger cannot hold up: bounded sizes, times and connections.

One request a connection (HTTP/1.0), a thread each, no request body, no word of a request in a log.
"""

from __future__ import annotations

import hmac
import io
import ipaddress
import logging
import socket
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from session_rec.errors import UserError
from streaming.http_routes import FREE, Reply, Routes, problem
from streaming.operation_settings import OperationSettings

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 8192  #: request line and headers together
MAX_CONNECTIONS = 32  #: at a time; more are turned away with 503
READ_S = 3.0  #: for the whole head to arrive, however it trickles in
WRITE_S = 5.0  #: for the whole answer to be taken
_UNREAD_BYTES = 1 << 16  #: of a refused request's body, read so that the refusal is not lost
_UNREAD_S = 0.5

_METHODS = ("GET", "HEAD")


class HttpServer(ThreadingHTTPServer):
    """Listens from the start; answers once :meth:`serve` was told what.

    Args:
        host: address to bind to; one that is not this machine's own loopback wants a token.
        port: port, 0 for a free one.
        token: the token that clients must give, or None.

    Attributes:
        answers: answers given, by ``(route, status)``.

    Raises:
        UserError: the address is not to be had, or open to others without a token.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, host: str, port: int, token: str | None) -> None:
        self._token = None if token is None else token.encode()
        self.answers: Counter[tuple[str, int]] = Counter()
        self._routes: Routes | None = None
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._counting = threading.Lock()
        try:
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM,
                                       flags=socket.AI_PASSIVE)  # fmt: skip
            self.address_family, _, _, _, address = found[0]
            if token is None and not ipaddress.ip_address(address[0]).is_loopback:
                raise UserError(
                    f"http_host {host!r} can be reached by others: name a token in http_token_env "
                    "or http_token_file, or bind to 127.0.0.1"
                )
            super().__init__(address[:2], _Handler)  # type: ignore[arg-type]
        except OSError as e:
            raise UserError(
                f"HTTP cannot be served on {host}:{port} ({e.strerror}): "
                "set another http_port, 0 for a free one, or another http_host"
            ) from None

    @property
    def url(self) -> str:
        """Where it listens, such as ``http://127.0.0.1:9464``."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def serve(self, routes: Routes) -> None:
        """Answers by ``routes`` from now on, on threads of its own."""
        self._routes = routes
        threading.Thread(target=self.serve_forever, args=(0.1,), name="http", daemon=True).start()
        log.info("metrics on %s/metrics", self.url)

    def reply(self, handler: BaseHTTPRequestHandler) -> Reply:
        """The answer to a request whose head was read."""
        headers = handler.headers
        if handler.command not in _METHODS:
            return problem(405, "only GET and HEAD are answered", ("Allow", ", ".join(_METHODS)))
        if headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers:
            return problem(413, "a request has no body here")
        path = handler.path.partition("?")[0]
        if path not in FREE and not self._may_ask(headers.get("Authorization", "")):
            return problem(
                401,
                "the header 'Authorization: Bearer TOKEN' is missing, or its token is wrong",
                ("WWW-Authenticate", "Bearer"),
            )
        assert self._routes is not None
        try:
            return self._routes.answer(path, headers.get("Accept", ""))
        except Exception as e:
            # Where, but not the error's own words: they may quote the request.
            at = "".join(traceback.format_tb(e.__traceback__)).rstrip()
            log.error("a request could not be answered: %s\n%s", type(e).__name__, at)
            return problem(500, "this could not be answered; the log says more")

    def close(self) -> None:
        """Listens no more."""
        if self._routes is not None:
            self.shutdown()
        self.server_close()

    def _may_ask(self, authorization: str) -> bool:
        if self._token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        # In the same time however much of it is right.
        right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
        return right and scheme.lower() == "bearer"

    def count(self, reply: Reply) -> None:
        """Counts an answer."""
        with self._counting:
            self.answers[reply.route, reply.status] += 1

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the name service who we are: that may take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            # Out of file descriptors the socket stays readable: do not spin.
            time.sleep(0.05)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.count(problem(503, ""))
            with suppress(OSError):
                request.settimeout(0)
                request.send(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n")
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hung up: nothing to tell. What we did wrong was logged by reply().
        pass


def listen(settings: OperationSettings) -> HttpServer | None:
    """A server that listens as the settings say; None where they switch it off.

    Raises:
        UserError: the address or the token cannot be had.
    """
    if not settings.http:
        return None
    return HttpServer(settings.http_host, settings.http_port, settings.http_token())


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer
    protocol_version = "HTTP/1.0"
    default_request_version = "HTTP/1.0"  # else an answer to what is no HTTP has no head

    def handle(self) -> None:
        self.close_connection = True
        self.requestline = self.command = ""
        self.request_version = self.default_request_version
        try:
            head = self._read_head()
        except TimeoutError:
            self.send_error(408)
            return
        if head is None:
            return
        if len(head) > MAX_HEAD_BYTES:
            self.send_error(431)
            return
        self.rfile = io.BytesIO(head)
        self.raw_requestline = self.rfile.readline()
        # It answers itself, by send_error, where it cannot be parsed.
        if self.parse_request():
            self._send(self.server.reply(self))

    def _read_head(self) -> bytes | None:
        """All up to the empty line, or more than is allowed; None if the client went away."""
        deadline = time.monotonic() + READ_S
        data = b""
        while b"\r\n\r\n" not in data and len(data) <= MAX_HEAD_BYTES:
            # One deadline for all of it: a byte now and then does not keep the connection open.
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.connection.settimeout(left)
            chunk = self.connection.recv(4096)
            if not chunk:
                return None
            data += chunk
        end = data.find(b"\r\n\r\n")
        return data[: end + 4] if end >= 0 else data

    def send_error(self, code: int, message: Any = None, explain: Any = None) -> None:
        # The standard page would quote the request.
        self._send(problem(code, HTTPStatus(code).phrase.lower()))

    def _send(self, reply: Reply) -> None:
        self.server.count(reply)
        self.connection.settimeout(WRITE_S)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        if reply.status in (405, 413, 431):
            self._read_the_rest()

    def _read_the_rest(self) -> None:
        """Closing on unread bytes resets the connection, and the client never sees the answer."""
        deadline = time.monotonic() + _UNREAD_S
        read = 0
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while read < _UNREAD_BYTES and (left := deadline - time.monotonic()) > 0:
                self.connection.settimeout(left)
                chunk = self.connection.recv(4096)
                if not chunk:
                    return
                read += len(chunk)

    def version_string(self) -> str:
        return "session-rec"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request line names a session."""
