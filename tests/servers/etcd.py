"""A throw-away etcd of one member."""

from __future__ import annotations

import shutil

from tests.servers.ports import LOOPBACK, ask, free_port
from tests.servers.process import ServerProcess

_HEALTH = f"GET /health HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode()


class Etcd(ServerProcess):
    name = "etcd"
    package = "etcd-server"
    scheme = "etcd"

    def __init__(self) -> None:
        super().__init__()
        self.peer_port = free_port()

    @classmethod
    def installed(cls) -> bool:
        return shutil.which("etcd") is not None

    def command(self) -> list[str]:
        clients = f"http://{self.hosts}"
        peers = f"http://{LOOPBACK}:{self.peer_port}"
        return [
            "etcd",
            "--name=t",
            f"--data-dir={self.folder / 'data'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=t={peers}",
            # Nobody else could be elected: no need to wait a second for it.
            "--heartbeat-interval=20",
            "--election-timeout=100",
            "--unsafe-no-fsync",
            "--logger=zap",
        ]

    def answers(self, timeout_s: float = 1.0) -> bool:
        return b'"health":"true"' in ask(self.port, _HEALTH, timeout_s)
