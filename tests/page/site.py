"""A server of the page and a conductor, as processes, with a database and a folder of gates."""

from __future__ import annotations

import copy
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from jobboard.conductors import list_conductors
from jobboard.settings import read_settings
from jobboard.tokens import Role
from poster import Client, PostRequest
from tests.waiting import until

ROOT = Path(__file__).parents[2]
FLOWS = Path(__file__).with_name("flows_for_pages.py")


GATES = ("reserve", "charge", "ship", "gate", "undo")


class Site:
    """What a browser visits."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.gates = folder / "gates"
        self.gates.mkdir()
        self.url = ""
        self._server: subprocess.Popen[str] | None = None
        self._conductor: subprocess.Popen[str] | None = None
        self._folder = folder
        others = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERMAND_")}
        self._environment = others | {
            "COUNTERMAND_DATABASE_URL": database_url,
            "COUNTERMAND_FLOWS": str(FLOWS),
            "COUNTERMAND_HOME": str(folder),
            "COUNTERMAND_UNRESPONSIVE_AFTER": "0.3",
            "PYTHONPATH": str(ROOT),
            "PAGE_TOKEN": "s3cret-value",
        }
        self.client = Client.open(read_settings({}, database_url=database_url, flows=str(FLOWS)), by="ann")

    def with_gates(self, folder: Path) -> Site:
        """The same, for a test with gates of its own."""
        twin = copy.copy(self)
        twin.gates = folder / "gates"
        twin.gates.mkdir()
        return twin

    def start(self, *options: str) -> None:
        """Start a conductor and the server, at the same time."""
        self._begin_to_conduct(*options)
        self.serve()
        self._await_conductor()

    def serve(self, *options: str) -> None:
        """Start the server; again on the same port, if it was there before."""
        port = self.url.rpartition(":")[2] or "0"
        argv = [sys.executable, "-m", "poster", "serve", "--port", port, *options]
        with (self._folder / "serve.log").open("a") as log:
            self._server = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self._server.stdout is not None
        self.url = self._server.stdout.readline().strip()
        assert self.url, (self._folder / "serve.log").read_text()

    def stop_server(self) -> None:
        """End the server as its owner would."""
        assert self._server is not None
        self._server.terminate()
        self._server.communicate(timeout=20)

    def conduct(self, *options: str) -> None:
        """Start a conductor, and wait until it is there."""
        self._begin_to_conduct(*options)
        self._await_conductor()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Its conductor stands still meanwhile, and keeps nobody from writing. For SQLite."""
        assert self._conductor is not None
        conductor = psutil.Process(self._conductor.pid)
        try:
            until(lambda: self._is_frozen(conductor), what="it to stand still between two transactions")
            yield
        finally:
            conductor.resume()

    def _is_frozen(self, conductor: psutil.Process) -> bool:
        conductor.suspend()
        until(lambda: conductor.status() == psutil.STATUS_STOPPED, what="the conductor to stand still")
        with closing(sqlite3.connect(str(self.client.database.engine.url.database), timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                conductor.resume()
                return False
        return True

    def open(self, *gates: str) -> None:
        """Let tasks go through gates."""
        for gate in gates:
            (self.gates / gate).touch()

    def post(self, flow: str, count: int = 1, **arguments: Any) -> list[str]:
        """Post jobs of one kind."""
        given = {"folder": str(self.gates)} if flow in ("gated", "wait", "deaf") else {}
        return [posted.id for posted in self.client.post_many([PostRequest(flow, given | arguments)] * count)]

    def token(self, role: str) -> str:
        """A new access token."""
        return self.client.create_token(f"{role}er", Role[role.upper()])[1]

    def close(self) -> None:
        """End all processes."""
        self.open("undo")
        for process in (self._conductor, self._server):
            if process is not None:
                process.kill()
                process.communicate(timeout=20)
        self.client.close()

    def _begin_to_conduct(self, *options: str) -> None:
        argv = [sys.executable, "-m", "conductor", "run", "--name", "one", *options]
        with (self._folder / "conductor.log").open("w") as log:
            self._conductor = subprocess.Popen(argv, stdout=log, stderr=log, text=True, env=self._environment)

    def _await_conductor(self) -> None:
        database = self.client.database
        until(lambda: any(row.alive for row in list_conductors(database)), what="a conductor")
