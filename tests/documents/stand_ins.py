"""What stands in for the addresses and folders that a page shows, so that many pages can be tried at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.servers.ports import free_port

_SERVER = re.compile(r"\b(postgresql|zookeeper|redis|etcd)://[^\s\"'#|;)]*\bhost[^\s\"'#|;)]*")
_PORT = re.compile(r"((?:\b127\.0\.0\.1:|\blocalhost:|--(?:metrics-)?port[ =]|http\.server ))(\d{4,5})\b")
_TMP = re.compile(r"(?<![\w/.~])/tmp\b")


class StandIns:
    """Puts what is there into the place of what the page shows, and back in what was printed.

    `server` gives the address of a server of a kind, which stands in for one whose host the page calls `host…`.
    """

    def __init__(self, tmp: Path, server: Callable[[str], str]) -> None:
        self._tmp = tmp
        self._server = server
        self._servers: dict[str, str] = {}
        self._ports: dict[str, int] = {}

    def port(self, shown: str) -> int:
        """A free port, always the same one for that of the page."""
        if shown not in self._ports:
            self._ports[shown] = free_port()
        return self._ports[shown]

    def into(self, text: str) -> str:
        text = _TMP.sub(lambda _: str(self._tmp), text)
        text = _PORT.sub(lambda found: f"{found[1]}{self.port(found[2])}", text)
        return _SERVER.sub(lambda found: self._address(found[0], found[1]), text)

    def back(self, text: str) -> str:
        text = text.replace(str(self._tmp), "/tmp")
        for shown, port in self._ports.items():
            text = text.replace(str(port), shown)
        for shown, address in self._servers.items():
            text = text.replace(address, shown)
        return text

    def _address(self, shown: str, kind: str) -> str:
        if shown not in self._servers:
            self._servers[shown] = self._server(kind)
        return self._servers[shown]
