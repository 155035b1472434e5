"""A network link to a server that can be cut so that nobody is told: packets vanish, connections look open.

    with Link(server) as link:
        link.hosts     "10.x.y.2:PORT", which leads to the server
        link.cut()
        link.mend()

Two network devices make the link: one end here, one in a network namespace, where a forwarder listens. Needs the
right to make both (root on Linux).
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Self

from tests.servers.ports import LOOPBACK

if TYPE_CHECKING:
    from tests.servers.process import ServerProcess

# In the namespace: each connection is handed over to this process, as a file descriptor.
_ACCEPT = """
import socket, sys
control = socket.socket(fileno=int(sys.argv[1]))
listener = socket.create_server((sys.argv[2], int(sys.argv[3])))
control.send(b"r")
while True:
    connection, _ = listener.accept()
    socket.send_fds(control, [b"c"], [connection.fileno()])
    connection.close()
"""
_random = random.SystemRandom()


class Link:
    """A way to a server on this machine that leads over a link of its own. Not thread-safe."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        net = f"10.{_random.randrange(200, 250)}.{_random.randrange(256)}"
        self._here, self._there = f"{net}.1", f"{net}.2"
        self._name = f"cm{os.getpid() % 100_000}{_random.randrange(1000)}"
        self._pumps: list[socket.socket] = []

    @staticmethod
    def possible() -> bool:
        """May this process make one?"""
        if shutil.which("ip") is None:
            return False
        made = subprocess.run(["ip", "netns", "add", "cm-probe"], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "delete", "cm-probe"], capture_output=True, check=False)
        return made.returncode == 0

    @property
    def hosts(self) -> str:
        return f"{self._there}:{self._server.port}"

    def cut(self) -> None:
        """From now on nothing gets through, and nobody is told."""
        self._ip("link", "set", f"{self._name}a", "down")

    def mend(self) -> None:
        """From now on everything gets through again."""
        self._ip("link", "set", f"{self._name}a", "up")

    def __enter__(self) -> Self:
        a, b = f"{self._name}a", f"{self._name}b"
        self._ip("netns", "add", self._name)
        self._ip("link", "add", a, "type", "veth", "peer", "name", b, "netns", self._name)
        self._ip("addr", "add", f"{self._here}/24", "dev", a)
        self._ip("link", "set", a, "up")
        self._ip("-n", self._name, "addr", "add", f"{self._there}/24", "dev", b)
        self._ip("-n", self._name, "link", "set", b, "up")
        self._listen()
        return self

    def __exit__(self, *_error: object) -> None:
        self._accepter.kill()
        self._accepter.wait()
        self._control.close()
        for end in self._pumps:
            end.close()
        self._ip("netns", "delete", self._name)

    def _listen(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        inside = ["ip", "netns", "exec", self._name]
        address = [str(theirs.fileno()), self._there, str(self._server.port)]
        self._accepter = subprocess.Popen(
            [*inside, sys.executable, "-c", _ACCEPT, *address], pass_fds=[theirs.fileno()]
        )
        theirs.close()
        assert self._control.recv(1) == b"r", "nobody listens in the namespace"
        threading.Thread(target=self._hand_over, daemon=True).start()

    def _hand_over(self) -> None:
        while True:
            try:
                _, found, _, _ = socket.recv_fds(self._control, 1, 1)
            except OSError:
                return
            if not found:
                return
            client = socket.socket(fileno=found[0])
            try:
                server = socket.create_connection((LOOPBACK, self._server.port))
            except OSError:
                client.close()
                continue
            self._pumps += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            end.close()
