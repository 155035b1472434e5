"""A throw-away Redis that keeps its data over a crash, but waits for no disk."""

from __future__ import annotations

import shutil

from tests.servers.ports import LOOPBACK, ask
from tests.servers.process import ServerProcess


class Redis(ServerProcess):
    name = "Redis"
    package = "redis-server"
    scheme = "redis"

    @classmethod
    def installed(cls) -> bool:
        return shutil.which("redis-server") is not None

    def command(self) -> list[str]:
        settings = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "no",
        }
        return ["redis-server", *(part for name, value in settings.items() for part in (f"--{name}", value))]

    def answers(self, timeout_s: float = 1.0) -> bool:
        return ask(self.port, b"PING\r\nQUIT\r\n", timeout_s).startswith(b"+PONG")
