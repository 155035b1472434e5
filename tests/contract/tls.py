"""A server that speaks TLS in front of one that does not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Self

from tests.servers.ports import LOOPBACK
from tests.servers.required import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def make_certificate(folder: Path, names: str) -> tuple[str, str]:
    """Files of a certificate for these names, which is its own authority, and of its key."""
    require_program("openssl")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"),
            *("-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return str(certificate), str(key)


@contextlib.contextmanager
def certified(server: Any, folder: Path, names: str) -> Iterator[tuple[Any, str]]:
    """Run a server that has a certificate for these names; it, and what an address then says of the files."""
    server.certificate, server.key = make_certificate(folder, names)
    with server:
        yield server, f"ca={server.certificate}&certfile={server.certificate}&keyfile={server.key}"


class TlsProxy:
    """Passes on what clients say that present the certificate themselves."""

    def __init__(self, target: int, certificate: str, key: str) -> None:
        self._target = target
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve)
        self._listening = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._end.cancel)
        self._thread.join()

    def _serve(self) -> None:
        with (
            contextlib.suppress(asyncio.CancelledError),
            asyncio.Runner(loop_factory=lambda: self._loop) as runner,
        ):
            runner.run(self._main())

    async def _main(self) -> None:
        server = await asyncio.start_server(self._pass_on, LOOPBACK, 0, ssl=self._context)
        self.port: int = server.sockets[0].getsockname()[1]
        self._end = asyncio.current_task()
        self._listening.set()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond_reader, beyond_writer = await asyncio.open_connection(LOOPBACK, self._target)
        await asyncio.gather(_copy(reader, beyond_writer), _copy(beyond_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()
