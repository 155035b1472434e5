"""The source of `collect`, which a test can have misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self

import uvicorn
from fastapi import Request, Response

from flows.library.collect.source import create_app
from tests.servers.ports import LOOPBACK, free_port
from tests.waiting import until


class Site:
    """It listens as long as the `with` lasts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """The symbols it was asked for."""
        self.tokens: set[str | None] = set()
        """What it was shown."""
        self.instead: dict[str, list[Response]] = {}
        """What it answers first when it is asked for a symbol, one after the other."""
        self.before: dict[str, Callable[[], object]] = {}
        """What happens before it answers for a symbol."""
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}/prices"
        app = create_app(requests_per_s=10_000)
        app.middleware("http")(self._answer)
        self._server = uvicorn.Server(uvicorn.Config(app, host=LOOPBACK, port=port, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started, what="the source to listen")
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive(), "the source did not end"

    def behave(self) -> None:
        """Forget all that was asked and wanted of it."""
        self.asked.clear()
        self.tokens.clear()
        self.instead.clear()
        self.before.clear()

    async def _answer(self, request: Request, its_own: Callable[[Request], Any]) -> Response:
        symbol = request.url.path.rpartition("/")[2]
        self.asked.append(symbol)
        self.tokens.add(request.headers.get("authorization"))
        self.before.get(symbol, lambda: None)()
        instead = self.instead.get(symbol)
        return instead.pop(0) if instead else await its_own(request)
