"""The server: uvicorn, on sockets of ours, ended by signals within a second whatever is still open."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

    from poster.web.live.feed import Feed

_SWITCH_S: Final = 0.001
_GRACE_S: Final = 0.4  # for requests that are being answered
_LONGEST_END_S: Final = 0.9  # from the signal to the end of the process
_UNREAD_MS: Final = 30_000  # so long a client may leave unread what was sent; then the system hangs up


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; any free port for 0. Raises `OSError`."""
    [family, kind, protocol, _name, address] = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # on Linux; its connections take it over
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        listening.bind(address)
        listening.listen(2048)
    except BaseException:
        listening.close()
        raise
    return listening


def url_of(listening: socket.socket) -> str:
    """Where it can be reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    logging.getLogger("uvicorn.error").addFilter(_without_the_dropped)
    # The loop, which has a little to do for each stream, waits for threads that work on requests: not for long.
    sys.setswitchinterval(_SWITCH_S)
    # What there is by now stays, and is not looked through again and again. Else Python would wait with collecting
    # what requests leave behind until that is a quarter of all there is: 10 MB.
    gc.collect()
    gc.freeze()
    asyncio.run(_Server(configured(app), app.state.feed).serve([listening]))


def configured(app: FastAPI) -> uvicorn.Config:
    """How uvicorn is to serve it."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,  # type: ignore[arg-type]  # asyncio takes parts of seconds
    )


class _Server(uvicorn.Server):
    """Uvicorn waits for open streams, and ends by the signal that it was sent: this one does neither."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self._feed = feed

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End by SIGTERM or Ctrl-C, with code 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        self.should_exit = True
        self._feed.end_streams()
        # A thread may wait for a database that does not answer.
        forced = threading.Timer(_LONGEST_END_S, _end_at_once)
        forced.daemon = True
        forced.start()


def _end_at_once() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _without_the_dropped(record: logging.LogRecord) -> bool:
    """Of a stream whose reader was too slow we have told ourselves."""
    return "without completing response" not in record.getMessage()
