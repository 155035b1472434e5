"""The HTTP API on a real port, in a thread of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from poster.client import Client
from poster.web.app import create_app
from poster.web.server import bind, url_of
from tests.integration.house import House
from tests.waiting import until


@dataclass(frozen=True)
class Served:
    """A server that listens."""

    app: FastAPI
    client: Client
    http: httpx.Client


@contextmanager
def served(house: House, *, token_needed: bool = False) -> Iterator[Served]:
    """A server of the house's database and flows, until the block ends."""
    client = Client.open(house.settings, by="ann", registry=house.registry)
    with closing(client), closing(bind("127.0.0.1", 0)) as listening:
        app = create_app(client, token_needed=token_needed)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        arguments: Any = ([listening],)
        thread = threading.Thread(target=server.run, args=arguments, name="server")
        thread.start()
        try:
            until(lambda: server.started, what="the server to listen")
            with httpx.Client(base_url=url_of(listening), timeout=30) as http:
                yield Served(app, client, http)
        finally:
            app.state.feed.end_streams()
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server did not end"
