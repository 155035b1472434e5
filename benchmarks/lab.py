"""The servers of one run of the benchmarks, started on first use; a fresh place on them for each measurement."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self, TypeVar

from benchmarks.place import Place
from benchmarks.systems import System
from tests.servers import PostgreSQL, Redis, ServerProcess, ZooKeeper
from tests.servers.ports import ask

S = TypeVar("S", bound=ServerProcess)


class DurablePostgreSQL(PostgreSQL):
    """As a server is run, not as tests run it: a commit waits for the disk."""

    def settings(self) -> dict[str, str]:
        durable = {"fsync": "on", "full_page_writes": "on", "max_wal_size": "4GB"}
        return {**super().settings(), **durable}

    @property
    def version(self) -> str:
        """Of the server."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            return str(cursor.fetchone()[0]).split()[0]


class Lab:
    """Servers and folders, until it is closed. Not thread-safe."""

    def __init__(self) -> None:
        self.versions: Final = {"SQLite": sqlite3.sqlite_version}
        self._stack = contextlib.ExitStack()
        self._running: dict[type[ServerProcess], ServerProcess] = {}
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @contextmanager
    def place(self, system: System) -> Iterator[Place]:
        """Where that system finds nothing but what it needs."""
        with contextlib.ExitStack() as stack:
            yield Place(
                database_url=self._database(system.database, stack),
                zookeeper=self._zookeeper() if system.zookeeper else "",
                folder=f"/benchmark-{next(self._numbers)}",
                redis=self._emptied_redis() if system.redis else "",
                variant=system.variant,
            )

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new folder. Its path is short, as that of a socket has to be."""
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            yield Path(name)

    def _database(self, kind: str, stack: contextlib.ExitStack) -> str:
        if kind == "sqlite":
            return f"sqlite:///{stack.enter_context(self.folder())}/jobs.db"
        if kind == "postgresql":
            server = self._server(DurablePostgreSQL)
            self.versions["PostgreSQL"] = server.version
            url = server.create_database()
            stack.callback(server.drop_database, url)
            return url
        return ""

    def _zookeeper(self) -> str:
        server = self._server(ZooKeeper)
        self.versions["ZooKeeper"] = zookeeper_version(ask(server.port, b"srvr", 5).decode())
        return server.hosts

    def _emptied_redis(self) -> str:
        server = self._server(Redis)
        self.versions["Redis"] = redis_version(ask(server.port, b"INFO server\r\nQUIT\r\n", 5).decode())
        ask(server.port, b"FLUSHALL\r\nQUIT\r\n", 5)
        return server.hosts

    def _server(self, kind: type[S]) -> S:
        if kind not in self._running:
            self._running[kind] = self._stack.enter_context(kind())
        found = self._running[kind]
        assert isinstance(found, kind)
        return found


def zookeeper_version(answer: str) -> str:
    """From what it says of itself: `Zookeeper version: 3.8.0-…`."""
    return answer.partition("version: ")[2].partition("-")[0]


def redis_version(answer: str) -> str:
    """The same: `redis_version:7.0.15`."""
    return answer.partition("redis_version:")[2].partition("\r")[0]
