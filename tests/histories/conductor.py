"""A conductor without threads: it does one step of a job when it is told to, and loses what it is told to lose.

What it writes it writes as the real one does, by the real `Dispatch`, `Journal` and `Attempt`; only the engine in
between is a few lines here, for flows of two tasks in a line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from conductor.attempt import Attempt, LeftBehind
from conductor.herald import Herald
from conductor.outcome import Ending
from jobboard.boards.sql import SqlJobBoard
from jobboard.claims import Claim
from jobboard.conductors import Registration
from jobboard.dispatch.sql import SqlDispatch
from jobboard.journal import Journal
from jobboard.models import Task, TaskError
from jobboard.owner import new_owner
from jobboard.schema import conductors, jobs, sessions
from jobboard.states import Cause
from jobboard.task_view import AtomState
from jobboard.taskflow_rows import TaskflowRows
from tests.histories.lossy import LossyDatabase
from tests.histories.model import TASKS, UNDOING

BOARD = "countermand"
FLOWS = ("f", "limited")
LEASE_S = 3600.0  # no history takes so long: leases end when they are told to
MAX_CLAIMS = 2
BOOM = {"exc_type_names": ["builtins.RuntimeError"], "exception_str": "boom"}
ERROR = TaskError("a", "RuntimeError", "boom")


class Todo(Enum):
    """What a conductor has to do next for a job."""

    LET_GO = "the database was away: another is to go on"
    GIVE_UP = "too many conductors died while they reverted it"
    STOP_RUNNING = "too many conductors died under it"
    SUSPEND = "a pause was accepted"
    BEGIN = "make the flow ready"
    START = "start a task"
    FINISH = "a task ends"
    FAIL = "a task has failed"
    SEAL = "all tasks have ended"
    START_REVERT = "revert a task"
    FINISH_REVERT = "a revert ends"
    REVERTED = "nothing is left to be reverted"
    REVERT_FAILED = "a revert has failed"


LAST_STEPS = {Todo.LET_GO, Todo.GIVE_UP, Todo.SUSPEND, Todo.FAIL, Todo.SEAL, Todo.REVERTED, Todo.REVERT_FAILED}
"""After one of them the run ends, unless it was overtaken, or turns back."""


@dataclass
class Run:
    """One claim of one job."""

    claim: Claim
    journal: Journal
    attempt: Attempt
    heard: str  # the state that this conductor knows of
    undoing: bool
    begun: bool = False
    given_up: bool = False
    broken: bool = False
    in_flight: str | None = None  # the task that this conductor executes or reverts
    again: set[str] = field(default_factory=set)  # reverts that failed, and are to run again
    late: dict[str, str] = field(default_factory=dict)  # states of tasks that the next transaction stores

    @property
    def tasks(self) -> dict[str, str]:
        """Their states, as this conductor knows them."""
        return {task.name: task.state for task in self.journal.tasks}

    def next(self) -> tuple[Todo, str]:
        """What to do, and with which task."""
        if self.broken:
            return Todo.LET_GO, ""
        if not self.begun:
            return self._first(), ""
        if self.in_flight:
            return (Todo.FINISH_REVERT if self._reverts else Todo.FINISH), self.in_flight
        return self._next_revert() if self.undoing else self._next_task()

    @property
    def _reverts(self) -> bool:
        return self.tasks[self.in_flight or ""] == "reverting"

    def _first(self) -> Todo:
        if self.heard == "pausing":
            return Todo.SUSPEND
        if self.undoing and not self.given_up and self.claim.claims > MAX_CLAIMS + 1:
            return Todo.GIVE_UP
        if not self.undoing and self.claim.claims > MAX_CLAIMS:
            return Todo.STOP_RUNNING
        return Todo.BEGIN

    def _next_task(self) -> tuple[Todo, str]:
        if self.heard == "pausing":
            return Todo.SUSPEND, ""
        for task, state in self.tasks.items():
            if state == "failure":
                return Todo.FAIL, task
            if state != "success":
                return Todo.START, task
        return Todo.SEAL, ""

    def _next_revert(self) -> tuple[Todo, str]:
        states = self.tasks
        if any(state == "revert_failure" and task not in self.again for task, state in states.items()):
            return Todo.REVERT_FAILED, ""
        for task, state in reversed(states.items()):
            if state not in ("pending", "reverted"):
                return Todo.START_REVERT, task
        return Todo.REVERTED, ""

    def left_behind(self) -> LeftBehind:
        """What could not be reverted."""
        failed = [task for task, state in self.tasks.items() if state == "revert_failure"]
        unasked = [task for task, state in self.tasks.items() if state in ("success", "failure", "running")]
        return LeftBehind(failed, unasked)


class Conductor:
    """One life of a conductor's process."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self.name = name
        self.database = LossyDatabase(engine)
        self.runs: dict[str, Run] = {}
        self._begin()

    def _begin(self) -> None:
        self.lease_ended = False
        self.owner = new_owner(self.name)
        self._dispatch = SqlDispatch(self.database, SqlJobBoard(BOARD, {"lease": LEASE_S}, database=self.database))
        self._dispatch.open()
        self._registration = Registration(self.database, self.owner, 4, FLOWS, LEASE_S)
        self._registration.enter()

    def begin_anew(self) -> None:
        """It has seen that its lease is lost. What it still runs, it runs until it is told."""
        self.close()
        self._begin()

    def close(self) -> None:
        """End the session."""
        self.database.lose = None
        self._dispatch.close()
        self._registration.leave()

    def end_lease(self) -> None:
        """It was stopped for too long, or has crashed: the others may have its jobs, which it does not know."""
        self.lease_ended = True
        past = self.database.now() - timedelta(seconds=1)
        session = self._dispatch.board.session.id
        with self.database.write() as connection:
            connection.execute(sa.update(sessions).where(sessions.c.id == session).values(expires_at=past))
            own = conductors.c.owner == self.owner.id
            connection.execute(sa.update(conductors).where(own).values(expires_at=past))

    def sweep(self) -> None:
        """Free what dead conductors held."""
        self._dispatch.free_dead_claims()

    def mend(self) -> None:
        """Mend what is left behind: first of all its own claims that it was never told of."""
        self._dispatch.mend(self.owner, set(self.runs))

    def claim(self, limit: int) -> list[Run]:
        """Put on the board what is due, and claim some of it."""
        runs: list[Run] = []
        while len(runs) < limit:
            claims = self._dispatch.claim(self.owner, FLOWS, limit - len(runs), busy=set(self.runs))
            if not claims:
                break
            made = [self._run(claim) for claim in claims]
            self.runs |= {run.claim.job: run for run in made}
            runs += made
        return runs

    def _run(self, claim: Claim) -> Run:
        journal = Journal(self.database, claim.job, claim.attempt, claim.epoch, claim.tasks)
        attempt = Attempt(claim, journal, self.database, self._dispatch, Herald(self.database))
        return Run(claim, journal, attempt, str(claim.state), str(claim.state) in UNDOING)

    def hear(self, run: Run) -> None:
        """Look at the record, as the watch does."""
        looked_at = sa.select(jobs.c.state, jobs.c.epoch).where(jobs.c.id == run.claim.job)
        with self.database.read() as connection:
            row = connection.execute(looked_at).first()
        if row is None or row.epoch != run.claim.epoch:
            self.runs.pop(run.claim.job)
            return
        run.heard = row.state
        if row.state == "cancelling":
            run.undoing = True

    def act(self, run: Run, todo: Todo, task: str, *, well: bool) -> Any:
        """Do what comes next; a task, or its revert, ends well or does not. Raises `Fenced`, `Unreachable`."""
        acts: dict[Todo, Callable[[], Any]] = {
            Todo.LET_GO: run.attempt.let_go,
            Todo.GIVE_UP: lambda: run.attempt.give_up(ERROR),
            Todo.STOP_RUNNING: lambda: run.attempt.revert(Cause.GIVE_UP, ERROR, "given up"),
            Todo.SUSPEND: lambda: run.attempt.put_down(Ending.SUSPENDED, None),
            Todo.BEGIN: lambda: self._begin_run(run),
            Todo.START: lambda: self._store(run, task, "RUNNING"),
            Todo.FINISH: lambda: self._put(run, task, "SUCCESS" if well else "FAILURE", None if well else BOOM),
            Todo.FAIL: lambda: self._fail(run),
            Todo.SEAL: lambda: run.attempt.complete({"a": 1}, TaskflowRows()),
            Todo.START_REVERT: lambda: self._store(run, task, "REVERTING"),
            Todo.FINISH_REVERT: lambda: self._put(
                run, task, "REVERTED" if well else "REVERT_FAILURE", None if well else BOOM
            ),
            Todo.REVERTED: lambda: run.attempt.put_down(Ending.REVERTED, None),
            Todo.REVERT_FAILED: lambda: run.attempt.put_down(Ending.REVERT_FAILED, run.left_behind()),
        }
        return acts[todo]()

    def _begin_run(self, run: Run) -> None:
        claim = run.claim
        if claim.flow_detail is None:
            run.journal.set_tasks(Task(name) for name in TASKS)
        if run.undoing and claim.cleanup:
            run.again = {task for task, state in run.tasks.items() if state == "revert_failure"}
        if not run.undoing and claim.kept:
            for task in [task for task, state in run.tasks.items() if state == "failure"]:
                run.journal.put(TaskflowRows(), [AtomState(task, "RUNNING")])
                run.journal.set_columns(kept=False)
        if claim.flow_detail is None:
            begun = self.database.now()
            run.journal.put(TaskflowRows(), flow_detail=str(uuid4()), fingerprint="same", started_at=begun)
        with run.journal.begin():
            pass

    @staticmethod
    def forget(run: Run, task: str) -> bool:
        """Take back that a task runs: it was not started, since that could not be stored, or no one knows.

        False, and nothing is done, for one that an earlier run had in flight: it may have effects.
        """
        if task in {known.name for known in run.claim.tasks if known.state in ("running", "failure")}:
            return False
        run.journal.put(TaskflowRows(), [AtomState(task, "PENDING")])
        return True

    @staticmethod
    def _put(run: Run, task: str, atom_state: str, failure: dict[str, Any] | None = None) -> None:
        """What has ended is stored with what comes next."""
        run.journal.put(TaskflowRows(), [AtomState(task, atom_state, failure)])

    def _store(self, run: Run, task: str, atom_state: str) -> None:
        self._put(run, task, atom_state)
        with run.journal.begin():  # also of one in flight, which is known to run
            pass

    @staticmethod
    def _fail(run: Run) -> bool:
        if run.claim.on_failure == "keep" and run.attempt.keep(ERROR):
            return True
        run.attempt.revert(Cause.FAILURE, ERROR, "a failed")
        return False
