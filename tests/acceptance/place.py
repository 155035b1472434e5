"""Conductors and posters as processes, the settings they share, and the file where their effects are seen."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobboard.conductors import list_conductors
from jobboard.database import Database, open_database
from jobboard.dispatch.opening import open_records
from jobboard.models import Job, NewJob
from jobboard.records import Records
from jobboard.settings import read_settings
from jobboard.states import State
from tests.waiting import until

ROOT = Path(__file__).parents[2]
FLOWS = Path(__file__).with_name("work_flows.py")
SHORT_LEASE = "--lease=2"


class Conductor:
    """A `conductor run` process, in a group of its own that ends with it."""

    def __init__(self, name: str, log: Path, environment: Mapping[str, str], *options: str) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as file:
            argv = [sys.executable, "-m", "conductor", "run", "--name", name, *options]
            self.process = subprocess.Popen(
                argv, cwd=ROOT, env=dict(environment), stdout=file, stderr=file, start_new_session=True
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def send(self, *signals: signal.Signals) -> None:
        for number in signals:
            self.process.send_signal(number)

    def ends_with(self, code: int) -> None:
        assert self.process.wait(60) == code, self.log

    def kill(self) -> None:
        """A crash: the whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@dataclass
class Poster:
    """What a `poster` command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Place:
    """Settings that posters and conductors share, and the file where effects are seen."""

    def __init__(self, folder: Path, database_url: str, jobboard_url: str = "sql") -> None:
        self.folder = folder
        self.database_url = database_url
        self.effects = folder / "effects"
        self.effects.touch()
        self.environment = os.environ | {
            "COUNTERMAND_DATABASE_URL": database_url,
            "COUNTERMAND_JOBBOARD_URL": jobboard_url,
            "COUNTERMAND_FLOWS": str(FLOWS),
        }
        self.settings = read_settings({}, database_url=database_url, jobboard_url=jobboard_url)
        self.conductors: list[Conductor] = []
        self.tells_errors = False  # a task of the test is to fail in a way that people must look into

    def start(self, name: str = "one", *options: str) -> Conductor:
        log = self.folder / f"{name}-{len(self.conductors)}.log"
        self.conductors.append(Conductor(name, log, self.environment, *options))
        return self.conductors[-1]

    def poster(self, *words: str, given: str | None = None) -> Poster:
        ended = subprocess.run(
            [sys.executable, "-m", "poster", *words],
            cwd=ROOT,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Poster(ended.returncode, ended.stdout, ended.stderr)

    def post(self, count: int, **how: Any) -> list[str]:
        """Post jobs, in the test's process: that is another one than the conductors', too."""
        flow = how.pop("flow", "work")
        seconds = 0.0 if flow == "work" else 30.0
        arguments = {"log": str(self.effects), "seconds": seconds, "stubborn": False} | how
        with self.records() as records:
            return [job.id for job in records.post([NewJob(flow, arguments)] * count, by="ann")]

    @contextlib.contextmanager
    def records(self) -> Iterator[Records]:
        with self.database() as database:
            yield open_records(database, self.settings)

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        with closing(open_database(self.database_url)) as database:
            yield database

    def await_conductors(self) -> None:
        """Wait until all that were started are there."""
        names = {conductor.name for conductor in self.conductors}
        with self.database() as database:

            def are_there() -> bool:
                return names <= {row.name for row in list_conductors(database) if row.alive}

            until(are_there, what=f"conductors {', '.join(sorted(names))}")

    def await_states(self, ids: list[str], *states: State, timeout_s: float = 60) -> list[Job]:
        with self.records() as records:

            def look() -> list[Job] | None:
                jobs = [records.get(job) for job in ids]
                return jobs if all(job.state in states for job in jobs) else None

            return until(look, timeout=timeout_s, what=f"jobs to be {states}")

    def done(self, what: str = "") -> list[tuple[str, str, str]]:
        """The effects so far: job, what, step."""
        lines = [line.split() for line in self.effects.read_text().splitlines()]
        return [(job, done, step) for job, done, step, _pid in lines if what in ("", done)]

    def close(self) -> None:
        for conductor in self.conductors:
            conductor.kill()
        for conductor in self.conductors:
            assert self.tells_errors or "Traceback" not in conductor.log, conductor.log
