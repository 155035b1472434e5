"""A throw-away PostgreSQL. A database takes some 25 ms from a template, so each test can have its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import sql

from tests.servers.ports import LOOPBACK
from tests.servers.process import ServerError, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
_SUPERUSER = "postgres"


class PostgreSQL(ServerProcess):
    name = "PostgreSQL"
    package = "postgresql"
    scheme = "postgresql"
    stop_signal = signal.SIGINT  # "fast": does not wait for clients to leave

    @classmethod
    def installed(cls) -> bool:
        return _programs() is not None

    @property
    def url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        return f"postgresql+psycopg2://{_SUPERUSER}@{self.hosts}/{name}"

    def create_database(self, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of the one at `template`, which nobody may use then."""
        name = f"t{secrets.token_hex(6)}"
        copied = sql.Identifier(_name(template) if template else "template1")
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), copied))
        return self.database_url(name)

    def drop_database(self, url: str) -> None:
        """Drop it, whoever is still connected."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_name(url))))

    @contextlib.contextmanager
    def connect(self, url: str | None = None) -> Iterator[Any]:
        """A psycopg2 connection that commits every statement."""
        name = _name(url or self.url)
        connection = psycopg2.connect(host=LOOPBACK, port=self.port, user=_SUPERUSER, dbname=name)
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def prepare(self) -> None:
        account = self.account()
        if account:
            os.chown(self.folder, account["user"], account["group"])
        made = subprocess.run(
            [
                *(_program("initdb"), "-D", "data", "-U", _SUPERUSER, "-A", "trust"),
                *("-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"),
            ],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **account,
        )
        if made.returncode:
            raise ServerError(f"initdb ended with {made.returncode}:\n{made.stdout}")

    def command(self) -> list[str]:
        return [
            *(
                _program("postgres"),
                "-D",
                str(self.folder / "data"),
                "-h",
                LOOPBACK,
                "-p",
                str(self.port),
                "-k",
                "",
            ),
            *(part for name, value in self.settings().items() for part in ("-c", f"{name}={value}")),
        ]

    def settings(self) -> dict[str, str]:
        """Those that are not the server's own."""
        # A commit is handed to the system, which keeps it over the server's crash; the disk is not awaited.
        return {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}

    def answers(self, timeout_s: float = 1.0) -> bool:
        argv = [_program("pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port)]
        try:
            return subprocess.run(argv, env=self.environment(), timeout=timeout_s, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def account(self) -> dict[str, Any]:
        # PostgreSQL refuses to run as root.
        if os.geteuid() != 0:
            return {}
        entry = pwd.getpwnam("postgres")
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}

    def _execute(self, statement: sql.Composed) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _program(name: str) -> str:
    folder = _programs()
    if folder is None:
        raise ServerError(PostgreSQL.missing())
    return str(folder / name)


def _programs() -> Path | None:
    """The newest version's folder. The commands on Debian's PATH are wrappers for clusters of its own."""
    found = [
        folder for pattern in _FOLDERS for folder in Path("/").glob(pattern[1:]) if (folder / "initdb").exists()
    ]
    if found:
        return max(found, key=_version)
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _version(folder: Path) -> int:
    return int(re.sub(r"\D", "", folder.parent.name) or 0)
