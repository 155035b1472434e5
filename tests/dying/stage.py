"""A database and a board on which conductors die, one after the other, and what is then to hold."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from kazoo.client import KazooClient

from jobboard.boards.session import sweep
from jobboard.database import Database, open_database
from jobboard.dispatch.opening import open_dispatch, open_records
from jobboard.models import NewJob
from jobboard.schema import conductors, sessions
from jobboard.settings import Settings
from tests.dying.nursery import Life, Obituary
from tests.dying.plays import PLAYS
from tests.integration.house import settings_for
from tests.rules.checker import broken_rules, jobs_on
from tests.rules.effects import Effects
from tests.rules.story import Request

FLOWS = {name: play.facts for name, play in PLAYS.items()}
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Death:
    """At which commit, and whether that holds."""

    at: int
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} commit {self.at}"


class Nursery:
    """The process that conductors are forked from."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.dying.nursery"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def live(self, life: Life) -> Obituary:
        """Let a conductor live, and wait until it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(asdict(life))}\n")
        self._process.stdin.flush()
        told = Obituary(**json.loads(self._process.stdout.readline()))
        assert told.commits >= 0, f"conductor {life.name} failed: see below\n{self._log.read_text()[-5000:]}"
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.communicate()


@dataclass
class Stage:
    """Where jobs are posted, conductors die, and others go on."""

    nursery: Nursery
    database: Database
    settings: Settings
    effects: Effects
    requests: list[Request] = field(default_factory=list)

    def play(self, name: str, *deaths: Death) -> bool:
        """Post a job; conductors die at it as told, one after the other, and another goes on.

        Raises `AssertionError` unless it ends as it should, and no rule is broken. False if the last of the
        deaths did not come, since the job had ended before.
        """
        told = f"{name}, dying {', then '.join(map(str, deaths))}"
        job = self._post(name)
        obituaries = [self._live(f"victim {n}", job, death) for n, death in enumerate(deaths, 1)]
        self._live("survivor", job, None)
        ended = open_records(self.database, self.settings).get(job)
        assert ended.state is PLAYS[name].ends, f"{told}: job {job} is {ended.state}: {ended.reason} {ended.error}"
        broken = broken_rules(
            self.database,
            effects=self.effects,
            crashes=len(deaths),
            requests=self.requests,
            flows=FLOWS,
            on_board=self._on_board(),
        )
        assert broken == [], f"{told}: {broken}"
        return all(obituary.died for obituary in obituaries)

    def commits(self, name: str) -> int:
        """How many commits a conductor makes for such a job, and dies at none."""
        return self._live("survivor", self._post(name), None).commits

    def _post(self, name: str) -> str:
        new = NewJob(name, {"effects": str(self.effects.folder)})
        job = open_records(self.database, self.settings).post([new], by="ann")[0].id
        self.requests.append(Request("post", job))
        if PLAYS[name].cancels:
            self.requests.append(Request("cancel", job, attempt=1))
        return job

    def _live(self, name: str, job: str, death: Death | None) -> Obituary:
        life = Life(name, str(self.database.engine.url), self.settings.jobboard_url, job)
        if death is not None:
            life = Life(**asdict(life) | {"dies_at": death.at, "after": death.after})
        told = self.nursery.live(life)
        if told.died:
            self._end_leases(told)
        return told

    def _end_leases(self, told: Obituary) -> None:
        """The dead conductor's, at once: nobody else is there."""
        past = self.database.now() - timedelta(hours=1)
        with self.database.write() as connection:
            connection.execute(sa.update(sessions).values(expires_at=past))
            connection.execute(sa.update(conductors).values(expires_at=past))
        sweep(self.database)
        if told.session is not None:
            number, secret = told.session
            hosts = self.settings.jobboard_url.removeprefix("zookeeper://").partition("/")[0]
            client = KazooClient(hosts, client_id=(number, bytes.fromhex(secret)))
            client.start()
            client.stop()  # a session ends when one of its connections says so
            client.close()

    def _on_board(self) -> list[str] | None:
        if self.settings.board_kind == "sql":
            return None
        with closing(open_dispatch(self.database, self.settings)) as dispatch:
            dispatch.open()
            return jobs_on(dispatch.board)


@contextmanager
def stage(nursery: Nursery, folder: Path, database_url: str, jobboard_url: str = "sql") -> Iterator[Stage]:
    """On this database and board."""
    settings = settings_for(database_url, jobboard_url=jobboard_url)
    with closing(open_database(database_url)) as database:
        yield Stage(nursery, database, settings, Effects(folder))
