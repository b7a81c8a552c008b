"""What the daemon answers over HTTP."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from streaming.health import Health
from streaming.recent_slates import RecentSlates

JSON = "application/json"

#: For load balancers and orchestrators, which hold no token; they tell nothing of any session.
FREE = ("/healthz", "/readyz")


class Reply(NamedTuple):
    """An answer.

    Attributes:
        status: HTTP status code.
        body: content.
        content_type: of the content.
        headers: further headers.
        route: where it came from, a name out of few, for the metrics.
    """

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    route: str = "other"


def problem(status: int, text: str, *headers: tuple[str, str], route: str = "other") -> Reply:
    """A refusal: ``{"error": text}``.

    >>> problem(404, "nothing is here").body
    b'{"error":"nothing is here"}'
    """
    return Reply(status, msgspec.json.encode({"error": text}), headers=headers, route=route)


class Routes:
    """Answers ``GET`` requests.

    Args:
        registry: the metrics.
        health: of the daemon.
        slates: the newest slate of each session.
    """

    def __init__(self, registry: CollectorRegistry, health: Health, slates: RecentSlates) -> None:
        self._registry = registry
        self._health = health
        self._slates = slates

    def answer(self, path: str, accept: str) -> Reply:
        """The answer to ``GET path``; ``accept`` is the header, "" where missing."""
        if path == "/healthz":
            return _state(self._health.alive, self._health.liveness(), "healthz")
        if path == "/readyz":
            state = self._health.readiness()
            return _state(state["ready"], state, "readyz")
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return Reply(200, encode(self._registry), content_type, route="metrics")
        parts = path.split("/")
        if len(parts) == 4 and (parts[1], parts[3]) == ("sessions", "recommendations"):
            return self._newest_slate(parts[2])
        return problem(
            404, "there are /metrics, /healthz, /readyz and /sessions/ID/recommendations"
        )

    def _newest_slate(self, quoted: str) -> Reply:
        route = "recommendations"
        try:
            session_id = unquote_to_bytes(quoted).decode()
        except UnicodeDecodeError:
            return problem(400, "the session id is not percent-encoded UTF-8", route=route)
        slate = self._slates.find(session_id)
        if slate is None:
            return problem(404, "this daemon holds no slate of that session", route=route)
        return Reply(200, slate, route=route)


def _state(good: bool, state: dict[str, Any], route: str) -> Reply:
    return Reply(200 if good else 503, msgspec.json.encode(state), route=route)
