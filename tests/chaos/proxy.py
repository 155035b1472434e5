"""A TCP proxy on loopback, between a server and those who use it, that can behave as bad networks do.

with Proxy(server.port) as proxy:
    proxy.port                             where clients connect
    proxy.behave(DropReplies(b"COMMIT"))   the request arrives, its answer never does
    proxy.behave(HALF_OPEN)                everybody may connect, and nothing gets through
    proxy.behave(PASS)                     as if it were not there
    proxy.cut()                            every connection that is open now ends
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent import futures
from dataclasses import dataclass
from typing import Any, Final, Self

from tests.servers.ports import LOOPBACK

_CHUNK: Final = 65_536


@dataclass(frozen=True)
class Behaviour:
    """What the proxy does with bytes. This one lets them through."""

    delay_s: float = 0.0
    vanish: bool = False  # in both directions

    def drops(self, reply: bytes) -> bool:
        """Whether this answer is lost, and its connection with it."""
        return False


@dataclass(frozen=True)
class DropReplies(Behaviour):
    """Answers that hold certain bytes are lost: the server has done what it was asked, and nobody is told."""

    holding: bytes = b""

    def drops(self, reply: bytes) -> bool:
        return self.holding in reply


PASS: Final = Behaviour()
HALF_OPEN: Final = Behaviour(vanish=True)


class Proxy:
    """A thread with an event loop of its own. `behave` and `cut` return when what they say is so."""

    port: int

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._behaviour = PASS
        self._open: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy of {server_port}")

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.port = self._do(self._listen())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self._do(self._close())
        finally:
            self._end()

    def behave(self, behaviour: Behaviour) -> None:
        """From now on. Connections of which bytes have vanished end: no network would give these back."""
        self._do(self._change(behaviour))

    def cut(self) -> int:
        """End all connections at once, without a good-bye; how many there were."""
        return self._do(self._cut(self._open))

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._open)

    # In the thread

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        self._server.close()
        while self._open:
            await self._cut(self._open)
            await asyncio.sleep(0.01)

    async def _change(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        await self._cut({one for one in self._open if one.lost_bytes})

    async def _cut(self, some: set[_Connection]) -> int:
        cut = list(some)
        for connection in cut:
            connection.abort()
            connection.carried.cancel()  # where bytes vanish, it does not see the end
        return len(cut)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(reader, writer)
        connection.carried = asyncio.ensure_future(self._carry(connection))
        self._open.add(connection)
        try:
            await connection.carried
        except (OSError, asyncio.CancelledError):
            pass  # one of the two has gone, or it was cut: the other is told by the end of its connection
        finally:
            connection.abort()
            self._open.discard(connection)

    async def _carry(self, connection: _Connection) -> None:
        server = None if self._behaviour.vanish else await self._connect(connection)
        if server is None:
            await self._swallow(connection)
            return
        pumps = (
            asyncio.ensure_future(self._pump(connection, connection.reader, server[1], replies=False)),
            asyncio.ensure_future(self._pump(connection, server[0], connection.writer, replies=True)),
        )
        try:
            # Whoever ends first ends both: none of the protocols in use says good-bye in one direction only.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _connect(self, connection: _Connection) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(LOOPBACK, self._server_port)
        connection.writers.append(writer)
        return reader, writer

    async def _swallow(self, connection: _Connection) -> None:
        connection.lost_bytes = True  # also those that were never sent: it has no server
        while await connection.reader.read(_CHUNK):
            pass

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        replies: bool,
    ) -> None:
        while data := await reader.read(_CHUNK):
            behaviour = self._behaviour
            if behaviour.delay_s:
                await asyncio.sleep(behaviour.delay_s)
            if self._behaviour.vanish:
                connection.lost_bytes = True
            elif replies and behaviour.drops(data):
                return
            else:
                writer.write(data)
                await writer.drain()
        if self._behaviour.vanish:
            # The good-bye of one side vanishes too.
            connection.lost_bytes = True
            await asyncio.Event().wait()

    # From other threads

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        done: futures.Future[Any] = asyncio.run_coroutine_threadsafe(what, self._loop)
        return done.result(30)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Connection:
    """A client's connection, and the one to the server behind it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.writers = [writer]
        self.lost_bytes = False
        self.carried: asyncio.Future[None]

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
