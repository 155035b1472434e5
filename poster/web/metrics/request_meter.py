"""Counts the requests to this server, and how long it takes to answer them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers

from jobboard.metrics import PREFIX
from poster.web.gate import permissions

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OTHER: Final = "other"
"""The route, or method, of what there is not: clients make up as many as they like."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_ACCEPTED: Final = 101  # what a WebSocket is answered with
_STREAM: Final = "text/event-stream"


class Requests:
    """The numbers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Counter(
            f"{PREFIX}_http_requests",
            "Requests that were answered; one for a stream is counted when it begins.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            f"{PREFIX}_http_request_seconds",
            "From a request to the end of its answer, streams left out.",
            ["route", "method"],
            registry=registry,
        )

    def answered(self, route: str, method: str, status: int) -> None:
        """A request is being answered."""
        self._count.labels(route, method, str(status)).inc()

    def took(self, route: str, method: str, seconds: float) -> None:
        """It was."""
        self._seconds.labels(route, method).observe(seconds)


class RequestMeter:
    """The outermost middleware: what the gate refuses is counted, too."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        one = _Request(self._requests, scope, send)
        try:
            await self._app(scope, receive, one.send)
        except Exception:
            one.failed()
            raise
        one.ended()


class _Request:
    """One request, from when it came."""

    def __init__(self, requests: Requests, scope: Scope, send: Send) -> None:
        self._requests = requests
        self._send = send
        self._began_s = time.perf_counter()
        self._route = permissions.template_of(scope["path"]) or _OTHER
        method = "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]
        self._method = method if method in _METHODS else _OTHER
        self._status: int | None = None
        self._is_stream = False

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self._is_stream = _kind(message).startswith(_STREAM)
            self._answered(message["status"])
        elif message["type"] == "websocket.accept":
            self._is_stream = True
            self._answered(_ACCEPTED)
        await self._send(message)

    def failed(self) -> None:
        """It raised. If nothing was answered yet, the server answers that it is its fault."""
        if self._status is None:
            self._answered(500)
        self.ended()

    def ended(self) -> None:
        """Its answer is complete. One that went away before there was an answer is not counted."""
        if self._status is not None and not self._is_stream:
            self._requests.took(self._route, self._method, time.perf_counter() - self._began_s)

    def _answered(self, status: int) -> None:
        self._status = status
        self._requests.answered(self._route, self._method, status)


def _kind(message: Message) -> str:
    return Headers(raw=list(message.get("headers", ()))).get("content-type", "")
