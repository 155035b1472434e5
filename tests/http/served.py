"""The server in a thread, and who asks it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx
import uvicorn

from jobboard.tokens import Role
from poster.client import Client
from poster.web.app import create_app
from poster.web.server import bind, configured, url_of
from tests.integration.house import House
from tests.waiting import until


@dataclass(frozen=True)
class Told:
    """A server-sent event, as it was read."""

    event: str
    data: dict[str, Any]
    id: str | None


class Served:
    """`poster serve`, but for the signals. Used with `with`."""

    def __init__(self, house: House, *, token_needed: bool = False, hosts: tuple[str, ...] = ()) -> None:
        self.house = house
        self.client = Client.open(house.settings, by="ann", registry=house.registry)
        self.app = create_app(self.client, token_needed=token_needed, hosts=hosts)
        self._listening = bind("127.0.0.1", 0)
        self.url = url_of(self._listening)
        self._server = uvicorn.Server(configured(self.app))
        self._thread = threading.Thread(target=self._server.run, args=([self._listening],))
        # There is no TLS, and to load what it trusts takes longer than most tests.
        self.http = httpx.Client(base_url=self.url, timeout=30, verify=False)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started, what="the server to listen")
        return self

    def __exit__(self, *_error: object) -> None:
        self.http.close()
        self.app.state.feed.end_streams()
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server did not end"
        self.client.close()

    def token(self, role: Role, name: str | None = None, **how: Any) -> str:
        """The text of a new token."""
        return self.client.create_token(name or f"{role}-token", role, **how)[1]

    def bearer(self, role: Role, **how: Any) -> dict[str, str]:
        """Headers that show a new token."""
        return {"authorization": f"Bearer {self.token(role, **how)}"}

    def post(self, flow: str = "f", **more: Any) -> str:
        """Post a job; its id."""
        answered = self.http.post("/api/jobs", json={"flow": flow, **more})
        assert answered.status_code == 201, answered.text
        return str(answered.json()["id"])

    @contextmanager
    def events(self, path: str = "/api/events", **params: Any) -> Iterator[Iterator[Told]]:
        """The events of a stream, which has begun: `begin` was read."""
        headers = params.pop("headers", {})
        with self.http.stream("GET", path, params=params, headers=headers) as answered:
            assert answered.status_code == 200, answered.read()
            assert answered.headers["content-type"].partition(";")[0] == "text/event-stream"
            told = read_events(answered)
            opened = next(told)
            assert opened.event == "begin"
            yield told


def read_events(answered: httpx.Response) -> Iterator[Told]:
    """Server-sent events as the standard has them: https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    fields: dict[str, str] = {}
    for line in answered.iter_lines():
        if not line:
            if "data" in fields:
                yield Told(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id"))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
