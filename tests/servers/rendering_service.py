"""The rendering service that comes with the flow `render`."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import Any

import httpx

from tests.servers.ports import LOOPBACK, ask
from tests.servers.process import ServerProcess

TOKEN = "s3cret-of-the-studio"


class RenderingService(ServerProcess):
    """It forgets everything when it ends."""

    name = "the rendering service"
    package = "countermand"
    scheme = "http"

    def __init__(self, **options: float) -> None:
        super().__init__()
        self._options = {"pace": 0.1, "cancel-takes": 0.2, "at-once": 3, "port": self.port} | {
            name.replace("_", "-"): value for name, value in options.items()
        }

    @classmethod
    def installed(cls) -> bool:
        return True

    def command(self) -> list[str]:
        options = [f"--{name}={value}" for name, value in self._options.items()]
        return [sys.executable, "-m", "flows.library.render.service", *options]

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, sys.path))
        return os.environ | {"RENDER_TOKEN": TOKEN, "TMPDIR": str(self.folder), "PYTHONPATH": path}

    def answers(self, timeout_s: float = 1.0) -> bool:
        question = f"GET /renders HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n"
        return ask(self.port, question.encode(), timeout_s).startswith(b"HTTP/1.1 401")

    def asked(self, method: str, path: str = "", **how: Any) -> httpx.Response:
        """What it answers."""
        how["headers"] = {"Authorization": f"Bearer {TOKEN}"} | how.get("headers", {})
        return httpx.request(method, f"{self.url}/renders{path}", **how)

    def renders(self, job: str = "") -> list[dict[str, Any]]:
        """Those of a job, in the order in which they were begun."""
        return [found for found in self.asked("GET").json() if found["name"].startswith(job)]

    def states(self, job: str) -> list[str]:
        return [found["state"] for found in self.renders(job)]


def most_at_once(renders: list[dict[str, Any]]) -> int:
    """How many of them were under way at the same time."""
    begun = [(datetime.fromisoformat(render["created_at"]), 1) for render in renders]
    ended = [(datetime.fromisoformat(render["ended_at"]), -1) for render in renders]
    now = most = 0
    for _, change in sorted(begun + ended):
        now += change
        most = max(most, now)
    return most
