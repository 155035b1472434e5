"""Tasks that do real work which does not end by itself. Imported by child processes too, so it is light."""

from __future__ import annotations

import asyncio
import ctypes
import http.client
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from flows import CancelableTask


class Real(CancelableTask):
    """Notes that it began, in a folder of its own."""

    def __init__(self, name: str, folder: Path, **how: Any) -> None:
        super().__init__(name, **how)
        self.folder = folder

    def note(self, text: str = "") -> None:
        """Visible as a whole, or not at all."""
        fresh = self.folder / f"{self.name}.new"
        fresh.write_text(text)
        fresh.rename(self.folder / self.name)


class Tree(Real):
    """A command that starts others, some of which ignore that they are to end."""

    def execute(self) -> None:
        line = (
            "(trap '' TERM; while :; do sleep 1; done) & first=$!;"
            'sleep 3600 & sh -c "sleep 3600 & wait" & echo "$$ $first $!" > "$0.new"; mv "$0.new" "$0"; wait'
        )
        self.run(["sh", "-c", line, str(self.folder / self.name)], kill_after=0.2)


class Downloads(Real):
    """Reads a response that never ends, and never looks at the flag."""

    def __init__(self, name: str, folder: Path, port: int) -> None:
        super().__init__(name, folder)
        self.port = port
        self.socket: socket.socket | None = None

    def execute(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", f"/{self.name}")
        self.socket = connection.sock
        response = connection.getresponse()
        self.note()
        size = 0
        while chunk := response.read(1):
            size += len(chunk)
        return size

    def on_cancel(self) -> None:
        assert self.socket is not None, "not yet"
        self.socket.shutdown(socket.SHUT_RDWR)


class DownloadsAsync(Real):
    """The same as a coroutine."""

    def __init__(self, name: str, folder: Path, port: int) -> None:
        super().__init__(name, folder)
        self.port = port

    async def execute(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET /{self.name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            self.note()
            while await reader.read(1):
                pass
        finally:
            writer.close()


class Spins(Real):
    """Pure Python without end."""

    def execute(self) -> None:
        self.note(str(os.getpid()))
        number = 0
        while True:
            number = (number + 1) % 1000


class SpinsInThread(Spins):
    """Interrupted where it is."""

    interrupt = "thread"


class SpinsInProcess(Spins):
    """Ended with its process."""

    interrupt = "process"


class SleepsInProcess(Real):
    """Sits in a C call."""

    interrupt = "process"

    def execute(self) -> None:
        self.note(str(os.getpid()))
        time.sleep(3600)


class Dies(Real):
    """Takes its process with it."""

    interrupt = "process"

    def execute(self) -> None:
        if self.name == "segfault":
            ctypes.string_at(0)
        os.kill(os.getpid(), signal.SIGKILL)
