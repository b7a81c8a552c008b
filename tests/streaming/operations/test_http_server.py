"""The HTTP server as a stranger meets it: bounded, mute about itself, shut without the token."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from prometheus_client import CollectorRegistry, Counter

from session_rec.errors import UserError
from streaming import http_server
from streaming.health import Health
from streaming.http_routes import Routes
from streaming.http_server import HttpServer, listen
from streaming.notify import Notifier
from streaming.operation_settings import OperationSettings
from streaming.recent_slates import RecentSlates

TOKEN = "0123456789abcdef"
SLATE = b'{"session_id":"s/1 \xc3\xa9","items":["i01"]}'


def serve(server: HttpServer) -> HttpServer:
    registry = CollectorRegistry()
    Counter("clicks", "Clicks", registry=registry).inc(3)
    slates = RecentSlates(10, 60_000)
    slates.put("events-0", "s/1 é", 1, SLATE)
    health = Health(60, Notifier({}))
    health.beat(joined=True)
    server.serve(Routes(registry, health, slates))
    return server


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with closing(serve(HttpServer("127.0.0.1", 0, None))) as running:
        yield running


@pytest.fixture
def guarded() -> Iterator[HttpServer]:
    with closing(serve(HttpServer("127.0.0.1", 0, TOKEN))) as running:
        yield running


def ask(
    server: HttpServer, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    with closing(connection):
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def raw(server: HttpServer, sent: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as s:
        with suppress(OSError):  # it may have seen enough
            s.sendall(sent)
        got = b""
        while chunk := s.recv(65536):
            got += chunk
        return got


def test_each_path_answers(server: HttpServer) -> None:
    status, body, headers = ask(server, "/metrics")
    assert status == 200 and b"clicks_total 3.0" in body
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert ask(server, "/metrics?name=x")[0] == 200
    status, body, headers = ask(server, "/healthz")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["alive"] is True
    assert ask(server, "/readyz")[0] == 200
    status, body, headers = ask(server, "/sessions/s%2F1%20%C3%A9/recommendations")
    assert (status, body, headers["Cache-Control"]) == (200, SLATE, "no-store")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/sessions/unknown/recommendations", 404),
        ("/sessions/s/1%20%C3%A9/recommendations", 404),
        ("/sessions/%FF/recommendations", 400),
        ("/sessions//recommendations", 404),
        ("/sessions/a/", 404),
        ("/", 404),
        ("/../metrics", 404),
    ],
)
def test_what_is_not_there(server: HttpServer, path: str, status: int) -> None:
    got, body, _ = ask(server, path)
    assert got == status and list(json.loads(body)) == ["error"]


def test_head_has_the_length_and_no_body(server: HttpServer) -> None:
    status, body, headers = ask(server, "/sessions/s%2F1%20%C3%A9/recommendations", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(SLATE)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(server: HttpServer, method: str) -> None:
    body = b"x" * 30_000 if method in ("POST", "PUT") else None
    status, _, headers = ask(server, "/metrics", method, body)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_request_with_a_body_is_refused(server: HttpServer) -> None:
    assert ask(server, "/metrics", "GET", b"x" * 30_000)[0] == 413
    assert ask(server, "/metrics", Transfer_Encoding="chunked")[0] == 413


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X" * 200_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/x<script>\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A:b\r\n" * 150 + b"\r\n", 431),
    ],
)
def test_what_is_no_request(server: HttpServer, sent: bytes, status: int) -> None:
    got = raw(server, sent)
    assert got.startswith(b"HTTP/1.0 %d " % status), got[:200]
    head, body = got.split(b"\r\n\r\n", 1)
    # Nothing of what was sent comes back, and nothing of what we are made of.
    assert list(json.loads(body)) == ["error"] and b"script" not in got
    assert b"Python" not in head and b"Traceback" not in got


def test_a_request_of_two_words_gets_a_head_too(server: HttpServer) -> None:
    assert raw(server, b"GET /healthz\r\n\r\n").startswith(b"HTTP/1.0 200 ")


def test_who_sends_nothing_or_too_slowly_is_cut_off(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "READ_S", 0.3)
    assert raw(server, b"").startswith(b"HTTP/1.0 408 ")
    assert raw(server, b"GET / HTTP/1.1\r\nHost: x\r\n").startswith(b"HTTP/1.0 408 ")
    # A byte now and then does not keep it open: the deadline is for the whole head.
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as s:
        with suppress(OSError):
            for _ in range(200):
                s.sendall(b"X")
                time.sleep(0.05)
            raise AssertionError("still open after 10 s")
        s.settimeout(5)
        with suppress(ConnectionError):
            assert s.recv(100).startswith(b"HTTP/1.0 408 ")


def test_there_are_only_so_many_connections_at_a_time(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "READ_S", 20.0)
    before = threading.active_count()
    address = ("127.0.0.1", server.server_port)
    held = [socket.create_connection(address) for _ in range(http_server.MAX_CONNECTIONS)]
    try:
        deadline = time.monotonic() + 20
        while threading.active_count() < before + len(held):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for _ in range(5):
            assert raw(server, b"").startswith(b"HTTP/1.0 503 ")
        assert threading.active_count() <= before + len(held)
    finally:
        for s in held:
            s.close()
    while ask(server, "/healthz")[0] != 200:
        assert time.monotonic() < deadline
    assert server.answers["other", 503] >= 5


def test_without_the_token_only_the_two_states_are_told(guarded: HttpServer) -> None:
    for path in ("/metrics", "/sessions/s%2F1%20%C3%A9/recommendations", "/nothing"):
        for given in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": TOKEN},
                      {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer "},
                      {"Authorization": "Bearer \xe9\xff"}):  # fmt: skip
            status, body, headers = ask(guarded, path, **given)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), given
            assert list(json.loads(body)) == ["error"] and TOKEN.encode() not in body
    assert ask(guarded, "/healthz")[0] == ask(guarded, "/readyz")[0] == 200
    given = {"Authorization": f"Bearer {TOKEN}"}
    assert ask(guarded, "/metrics", **given)[0] == 200
    assert ask(guarded, "/sessions/s%2F1%20%C3%A9/recommendations", **given)[1] == SLATE


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_no_stranger_is_let_in_without_a_token(host: str) -> None:
    with pytest.raises(UserError, match="http_host .* can be reached by others: name a token"):
        HttpServer(host, 0, None)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_ones_own_loopback_needs_none(host: str) -> None:
    with closing(serve(HttpServer(host, 0, None))) as running:
        assert running.url.endswith(f":{running.server_port}")
        assert ask(running, "/healthz")[0] == 200


def test_with_a_token_others_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    settings = OperationSettings(http_host="0.0.0.0", http_port=0, http_token_env="SHOP_TOKEN")
    listening = listen(settings)
    assert listening is not None
    with closing(serve(listening)):
        assert ask(listening, "/metrics")[0] == 401
    assert listen(OperationSettings(http=False)) is None


def test_a_port_that_is_taken(server: HttpServer) -> None:
    with pytest.raises(UserError, match=r"127\.0\.0\.1:\d+ \(.*\): set another http_port"):
        HttpServer("127.0.0.1", server.server_port, None)
    with pytest.raises(UserError, match="or another http_host"):
        HttpServer("no-such-host.invalid", 0, TOKEN)


def test_a_defect_tells_the_client_nothing_and_the_log_where(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: RecentSlates, session_id: str) -> bytes:
        raise KeyError(session_id)

    monkeypatch.setattr(RecentSlates, "find", broken)
    with caplog.at_level(logging.DEBUG):
        status, body, _ = ask(server, "/sessions/marked-id/recommendations")
    assert status == 500 and json.loads(body) == {
        "error": "this could not be answered; the log says more"
    }
    assert "KeyError" in caplog.text and "in broken" in caplog.text
    assert "marked-id" not in caplog.text


def test_answers_are_counted_by_route_and_status_alone(server: HttpServer) -> None:
    for path in ("/metrics", "/metrics", "/sessions/a/recommendations", "/a", "/b"):
        ask(server, path)
    ask(server, "/healthz", "POST")
    assert server.answers == {
        ("metrics", 200): 2, ("recommendations", 404): 1, ("other", 404): 2, ("other", 405): 1,
    }  # fmt: skip
