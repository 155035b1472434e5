"""The gate: a middleware that lets nothing pass that the table of permissions does not allow."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.websockets import WebSocket

from poster.web.answer import answer_to, wants_page
from poster.web.gate import permissions
from poster.web.gate.body import read_json, replayed
from poster.web.gate.origin import is_from_our_page, is_meant_for
from poster.web.gate.refusal import Refusal, refusal
from poster.web.gate.who import Credentials, Who
from poster.web.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from jobboard.tokens import Role
    from poster.web.gate.doorkeeper import Doorkeeper

LOG = logging.getLogger(__name__)

WHO: Final = "who"
"""Where in a request's state it is told who asks."""

_CHANGES: Final = frozenset({"POST", "DELETE"})
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Of every answer that does not say otherwise."""


class Gate:
    """Asks who it is, what they may, and what they send; then lets the request through, or answers it."""

    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper, hosts: Collection[str], most_bytes: int) -> None:
        """`hosts`: names by which we are called, beside addresses. `most_bytes`: of a body."""
        self._app = app
        self._doorkeeper = doorkeeper
        self._hosts = hosts
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        try:
            who = await self._admitted(scope)
            if scope["type"] == "http" and scope["method"] in _CHANGES:
                body = await read_json(Headers(scope=scope), receive, self._most_bytes)
                receive = replayed(body, receive)
        except Refusal as refused:
            await _refuse(scope, receive, send, refused)
        else:
            scope.setdefault("state", {})[WHO] = who
            await self._app(scope, receive, send)

    async def _admitted(self, scope: Scope) -> Who | None:
        """Who asks, None if nobody needs to know. Raises `Refusal`."""
        headers = Headers(scope=scope)
        if not is_meant_for(headers, self._hosts):
            host = headers.get("host", "")
            raise refusal(
                403, f"this server is not called {host!r}: `poster serve --allowed-host` gives it a name"
            )
        needed = _needed(scope)
        credentials = Credentials.of(headers)
        changes = scope["type"] == "websocket" or scope["method"] in _CHANGES
        by_cookie = credentials is not None and credentials.by_cookie
        if changes and not is_from_our_page(headers, sure=by_cookie):
            raise refusal(403, "this request comes from a page that is not ours")
        if needed is permissions.PUBLIC:
            return None
        who = await self._doorkeeper.who(credentials)
        if who.role < needed:
            raise refusal(403, f"wants a token of role {needed}, {who.name}'s is of role {who.role}")
        return who


def _needed(scope: Scope) -> Role | None:
    """The role that a request wants. Raises `Refusal` for what there is not."""
    method = "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]
    methods = permissions.find(scope["path"])
    if methods is None:
        raise refusal(404, f"there is nothing at {scope['path']}")
    if method not in methods:
        allowed = ", ".join(sorted(methods))
        raise Refusal(problem(405, f"{method} is not allowed here: {allowed} is"), {"Allow": allowed})
    return methods[method]


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: Refusal) -> None:
    LOG.info("%s %s refused: %s", scope.get("method", "WEBSOCKET"), scope["path"], refused)
    response = answer_to(scope, refused.problem, refused.headers)
    if refused.problem.status == 401 and wants_page(scope):
        response = RedirectResponse(f"/login?next={quote(_place(scope), safe='')}", 303)
    if scope["type"] == "http":
        await response(scope, receive, send)
    else:
        await WebSocket(scope, receive, send).send_denial_response(response)


def _place(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return f"{scope['path']}?{query}" if query else str(scope["path"])


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
