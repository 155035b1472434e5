"""A web server that has files in parts, and sometimes breaks off, or wants to be asked later."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

Answer = Callable[["Handler", bytes], None]
"""Answers one request for a file, in another way than a good server does."""


@dataclass
class Site:
    """Files by path. `next_answers` are taken first, one for each request of that path."""

    files: dict[str, bytes] = field(default_factory=dict)
    next_answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    ranges: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What part each request of a path has asked for."""
    url: str = ""

    def __enter__(self) -> Self:
        handler = type("Bound", (Handler,), {"site": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request after the other of one connection."""

    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.site.ranges[self.path].append(self.headers.get("Range", ""))
        content = self.site.files.get(self.path)
        planned = self.site.next_answers[self.path]
        if planned:
            planned.pop(0)(self, content or b"")
        elif content is None:
            self.say(404)
        else:
            self.serve(content)

    def serve(self, content: bytes, etag: str | None = None, most: int | None = None) -> None:
        """As a good server does; with `most` it breaks off after so many bytes."""
        etag = etag or etag_of(content)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.headers.get("If-Range", etag) == etag else 0
        if start >= len(content) > 0:
            self.say(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start:][:most])
        self.close_connection = most is not None

    def say(self, status: int, headers: dict[str, str] | None = None) -> None:
        """An answer without content."""
        self.send_response(status)
        for name, value in {"Content-Length": "0", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base names it
        """Say nothing."""


def etag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


def breaks_off(after: int) -> Answer:
    """Closes the connection after so many bytes."""
    return lambda handler, content: handler.serve(content, most=after)


def says(status: int, **headers: str) -> Answer:
    """Answers with this status, and with headers whose names have _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _content: handler.say(status, named)
