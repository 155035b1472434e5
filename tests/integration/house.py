"""A database, flows of a test's own, and conductors in threads of its process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from taskflow.patterns import linear_flow

from conductor.service import Conductor
from flows import CancelableTask
from flows.registry import Registry, flow
from jobboard import history
from jobboard.conductors import list_conductors
from jobboard.database import Database
from jobboard.dispatch.base import Dispatch
from jobboard.dispatch.opening import open_dispatch, open_records
from jobboard.models import HistoryLine, Job, NewJob
from jobboard.records import Records
from jobboard.schema import conductors, jobs, postings, sessions
from jobboard.settings import Settings, read_settings
from jobboard.states import AT_REST, State
from tests.waiting import patience, until

Act = Callable[["Step"], Any]


class Step(CancelableTask):
    """A task that notes what is called and does what its test says."""

    def __init__(self, name: str, house: House, execute: Act | None, revert: Act | None, **how: Any) -> None:
        super().__init__(name, **({"provides": name} | how))
        self._house = house
        self._execute = execute
        self._revert = revert

    def execute(self, **_given: Any) -> Any:
        self._house.note("execute", self)
        return self._execute(self) if self._execute else f"{self.name}'s result"

    def revert(self, **given: Any) -> None:
        self.reverted_with = given["result"]
        self._house.note("revert", self)
        if self._revert:
            self._revert(self)


class Place:
    """Where a task gets to."""

    def __init__(self) -> None:
        self.reached = threading.Event()

    def arrived(self) -> None:
        """Wait for it."""
        assert self.reached.wait(patience(60)), "no task came here"


class Gate(Place):
    """Where a task stops until its test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()

    def __call__(self, task: Step) -> str:
        """Wait without looking at the flag."""
        self.reached.set()
        assert self.open.wait(30), f"no one opened the gate of {task.name}"
        return f"{task.name}'s result"


class Hold(Place):
    """Where a task stays until it is interrupted."""

    def __call__(self, task: Step) -> None:
        self.reached.set()
        task.sleep(30)
        raise AssertionError(f"no one interrupted {task.name}")


class HoldOnce(Place):
    """Where a task stays until it is interrupted; when it comes again it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.interrupted = threading.Event()

    def __call__(self, task: Step) -> str:
        if self.reached.is_set():
            return "the second time"
        self.reached.set()
        try:
            task.sleep(60)
        finally:
            self.interrupted.set()
        raise AssertionError(f"no one interrupted {task.name}")


@dataclass
class House:
    """What a test has to do with."""

    database: Database
    settings: Settings
    registry: Registry = field(default_factory=Registry)
    calls: list[str] = field(default_factory=list)
    conductors_database: Database | None = None  # None: the same
    dispatch: Callable[[], Dispatch] | None = None  # None: as the settings say

    @property
    def records(self) -> Records:
        return open_records(self.database, self.settings)

    # Flows

    def step(self, name: str, execute: Act | None = None, revert: Act | None = None, **how: Any) -> Step:
        return Step(name, self, execute, revert, **how)

    def note(self, what: str, task: Step) -> None:
        self.calls.append(f"{what} {task.name}")

    def flow(self, make: Callable[[], Any], name: str = "f", **options: Any) -> None:
        """Register a flow without parameters. `make` gives the TaskFlow flow, or a list of steps in a line."""

        def function() -> Any:
            made = make()
            return linear_flow.Flow(name).add(*made) if isinstance(made, list) else made

        flow(name, registry=self.registry, **options)(function)

    # Conductors

    def make(self, name: str = "one", *, slots: int = 4, grace_s: float = 5.0, **how: Any) -> Conductor:
        database = self.conductors_database or self.database
        dispatch = self.dispatch() if self.dispatch else open_dispatch(database, self.settings)
        how |= {"slots": slots, "name": name, "grace_s": grace_s}
        return Conductor(database, dispatch, self.registry, self.settings, **how)

    @contextlib.contextmanager
    def running(self, name: str = "one", *, run: dict[str, Any] | None = None, **how: Any) -> Iterator[Conductor]:
        """A conductor that runs; stopped in the end, if it has not ended before."""
        conductor = self.make(name, **how)
        thread = threading.Thread(target=conductor.run, kwargs=run or {}, name=f"conductor-{name}")
        thread.start()
        try:
            yield conductor
        finally:
            conductor.stop()
            thread.join(20)
            assert not thread.is_alive(), f"conductor {name} did not end"

    @staticmethod
    def suspend(conductor: Conductor) -> None:
        """Stop a conductor, and wait until every job has been told."""
        conductor.stop()
        until(lambda: all(run._suspend.is_set() for run in conductor._running()), what="the end of its work")

    def drain(self, **how: Any) -> None:
        """Let a conductor do what there is to do."""
        with self.running(run={"burst": True}, **how) as conductor:
            assert conductor.wait(20), "there was no end of what there was to do"

    # Jobs

    def post(self, flow_name: str = "f", **how: Any) -> str:
        return self.records.post([NewJob(flow_name, how.pop("arguments", {}), **how)], by="ann")[0].id

    def get(self, job: str) -> Job:
        return self.records.get(job)

    def comes_to(self, job: str, *states: State) -> Job:
        """The job when it is in one of these states, or at rest."""
        wanted = states or tuple(AT_REST)

        def look() -> Job | None:
            found = self.get(job)
            return found if found.state in wanted or found.state in AT_REST else None

        found = until(look, timeout=60, what=f"job {job} to be {' or '.join(wanted)}")
        assert found.state in wanted, f"{found.state}: {found.error}, {found.reason}"
        return found

    def run(self, **how: Any) -> Job:
        """Post a job, let a conductor do it, and give it as it then is."""
        job = self.post(**how)
        self.drain()
        return self.get(job)

    def expire(self, *names: str) -> None:
        """Let the leases of these conductors end, as if they had been stopped for longer."""
        past = self.database.now() - timedelta(hours=1)
        owners = [row.owner for row in list_conductors(self.database) if row.name in names]
        held = sa.select(postings.c.session).where(postings.c.owner.in_(owners))
        with self.database.write() as connection:
            connection.execute(sa.update(sessions).where(sessions.c.id.in_(held)).values(expires_at=past))
            connection.execute(sa.update(conductors).where(conductors.c.owner.in_(owners)).values(expires_at=past))

    # What is stored

    def row(self, job: str) -> Any:
        with self.database.read() as connection:
            return connection.execute(sa.select(jobs).where(jobs.c.id == job)).mappings().one()

    def change(self, job: str, **columns: Any) -> None:
        with self.database.write() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job).values(**columns))

    def rows(self, table: sa.Table) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(sa.select(table).order_by(*table.primary_key)).mappings())

    def lines(self, job: str, *kinds: str) -> list[HistoryLine]:
        return history.read(self.database, job, kinds=kinds or [history.STATE])

    def states_of(self, job: str) -> list[str | None]:
        """The way the job took."""
        return [line.state for line in self.lines(job)]

    def tasks_of(self, job: str) -> list[str]:
        """What its history says of the tasks."""
        return [f"{line.task} {line.state}" for line in self.lines(job, history.TASK)]

    def assert_at_rest(self, job: str) -> None:
        """Nothing of the job is left on the board, and no one has it."""
        row = self.row(job)
        assert (row["posting"], row["owner"]) == (None, None)
        assert row["finished_at"] is not None
        assert [posting for posting in self.rows(postings) if posting["job"] == job] == []

    def row_of_posting(self, job: str) -> Any:
        return next(posting for posting in self.rows(postings) if posting["job"] == job)

    def sessions_alive(self) -> bool:
        now = self.database.now()
        return any(session["expires_at"] > now for session in self.rows(sessions))

    def names_of_conductors(self) -> list[str]:
        return [row.name for row in list_conductors(self.database)]


def settings_for(database_url: str, **flags: str) -> Settings:
    """Settings for tests, without those of the environment."""
    return read_settings({}, database_url=database_url, **flags)
