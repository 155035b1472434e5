"""The command `poster`, as a process of its own or in this one, and records as a conductor would leave them."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.schema import jobs
from jobboard.settings import read_settings
from jobboard.signals import Channel, notify
from jobboard.states import State
from poster import Client, PostRequest
from poster.cli import run

ROOT = Path(__file__).parents[2]
FLOWS = str(ROOT / "tests" / "flows_for_tests.py")
NOWHERE = "postgresql://ann:s3cret@127.0.0.1:1/x"


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Poster:
    """The command, with a database of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.environment = {
            **os.environ,
            "COUNTERMAND_DATABASE_URL": url,
            "COUNTERMAND_FLOWS": FLOWS,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error::ResourceWarning",
            "COLUMNS": "100",
            "TERM": "xterm",
        }

    def __call__(self, *words: str, given: str | bytes = b"", **environment: str) -> Ran:
        data = given.encode() if isinstance(given, str) else given
        ran = subprocess.run(
            [sys.executable, "-m", "poster", *words],
            input=data,
            capture_output=True,
            env=self.environment | environment,
            timeout=100,
        )
        return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())

    def post(self, name: str = "ann") -> str:
        """Post a job without a process: most tests only need one to be there."""
        with Client.open(read_settings({}, database_url=self.url, flows=FLOWS)) as client:
            return client.post(PostRequest("greet", {"name": name}))

    @contextmanager
    def started(self, *words: str, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "poster", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            **how,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def on_terminal(self, *words: str, **environment: str) -> tuple[int, str]:
        """Run it with a terminal as standard output; what it wrote there."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "poster", *words],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=self.environment | environment,
        )
        os.close(theirs)
        written = b"".join(iter(lambda: _read(ours), b""))
        os.close(ours)
        process.communicate(timeout=60)
        return process.returncode, written.decode()


class PosterHere(Poster):
    """The command in this process, without a start of half a second: what it says, and its exit code."""

    def __call__(self, *words: str, given: str | bytes = b"", **environment: str) -> Ran:
        data = given.encode() if isinstance(given, str) else given
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment | environment),
            mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = run(words)
        return Ran(code, out.getvalue(), err.getvalue())


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def put(database: Database, job: str, state: State, **columns: Any) -> None:
    """Bring a record to a state, as a conductor would."""
    with database.write() as connection:
        connection.execute(sa.update(jobs).where(jobs.c.id == job).values(state=str(state), **columns))
        notify(connection, Channel.CHANGE)


def first_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode()
