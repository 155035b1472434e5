"""A way to a server on which a request or its reply can get lost."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

from tests.servers.ports import LOOPBACK


class LossyProxy:
    """Passes on what is said, until it is told to lose something; the connection then breaks."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._wanted: bytes | None = None
        self._served = False
        self._closed = False
        self._sockets: set[socket.socket] = set()
        self.lost = threading.Event()
        """Something was lost."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def lose_reply(self, to: bytes) -> None:
        """Let the server serve the next request that holds these bytes, but keep its reply."""
        self._lose(to, served=True)

    def lose_request(self, with_: bytes) -> None:
        """Keep the next request that holds these bytes from the server."""
        self._lose(with_, served=False)

    def close(self) -> None:
        """Break all connections and accept no more."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break all connections."""
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _lose(self, wanted: bytes, *, served: bool) -> None:
        with self._lock:
            self._wanted, self._served = wanted, served
        self.lost.clear()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=[client], daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self._target)) as server:
            with self._lock:
                self._sockets |= {client, server}
            replies = _Replies(server, client)
            try:
                while said := client.recv(1 << 20):
                    served = self._is_lost(said)
                    if served is None:
                        server.sendall(said)
                        continue
                    if served:
                        replies.keep()
                        server.sendall(said)
                        assert replies.kept.wait(30), "the server did not reply"
                    self.lost.set()
                    return
            finally:
                with self._lock:
                    self._sockets -= {client, server}
                replies.end()

    def _is_lost(self, said: bytes) -> bool | None:
        """None: it is not. Else whether the server shall serve it."""
        with self._lock:
            if self._wanted is None or self._wanted not in said:
                return None
            self._wanted = None
            return self._served


class _Replies:
    """What the server says, on its way."""

    def __init__(self, server: socket.socket, client: socket.socket) -> None:
        self._server, self._client = server, client
        self._keeping = False
        self.kept = threading.Event()
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def keep(self) -> None:
        """Pass on no more."""
        self._keeping = True

    def end(self) -> None:
        """Break both connections."""
        for each in (self._server, self._client):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _pass_on(self) -> None:
        with contextlib.suppress(OSError):
            while said := self._server.recv(1 << 20):
                if self._keeping:
                    self.kept.set()
                else:
                    self._client.sendall(said)
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
