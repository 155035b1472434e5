"""The journal of one claimed job: everything that its conductor writes about it goes through here.

Each transaction begins with one UPDATE of the record that holds only while the claim's epoch stands, so a
conductor that lost its claim writes nothing. The same UPDATE carries what people see of the job's tasks, and the
same transaction its new lines of history and whatever else has gathered: none costs a transaction of its own. What
needs to know nothing of the record but that, goes to the database as one request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from jobboard import history, removal, signals, task_view
from jobboard.database import Database
from jobboard.errors import Fenced, Unreachable
from jobboard.faults import state_of
from jobboard.history import NewLine
from jobboard.models import Task
from jobboard.schema import Values, attempts, jobs
from jobboard.statements import Script, add_update, update, update_of
from jobboard.states import Cause, State, Transition, transition
from jobboard.task_view import AtomState, TaskView
from jobboard.taskflow_rows import TaskflowRows


@dataclass
class _Gathered:
    """What is to be written with the next transaction."""

    columns: Values = field(default_factory=dict)  # of the record
    attempt: Values = field(default_factory=dict)  # of the attempt's row
    rows: TaskflowRows = field(default_factory=TaskflowRows)
    lines: list[NewLine] = field(default_factory=list)
    tasks: bool = False  # what people see of the tasks has changed

    def __bool__(self) -> bool:
        return bool(self.columns or self.attempt or self.rows or self.lines or self.tasks)

    def before(self, later: _Gathered) -> _Gathered:
        """This, and what has gathered later."""
        return _Gathered(
            {**self.columns, **later.columns},
            {**self.attempt, **later.attempt},
            self.rows.before(later.rows),
            [*self.lines, *later.lines],
            self.tasks or later.tasks,
        )


class _NotThere(Exception):
    """The record is not as a transaction needs it."""


class Journal:
    """Fenced writes for one claim of one job. Thread-safe.

    What gathers is written by whichever transaction comes next, as one: none of it is stored, or seen, without
    the rest. When that fails it gathers on. `store` says that it must be written before anything else happens.
    """

    def __init__(self, database: Database, job: str, attempt: int, epoch: int, tasks: Iterable[Task]) -> None:
        self._database = database
        self.job = job
        self.attempt = attempt
        self.epoch = epoch
        self._turn = threading.RLock()  # one transaction at a time: what gathered later is written later
        self._lock = threading.Lock()  # guards the two below
        given = tuple(tasks)
        self._view = TaskView(given)
        self._gathered = _Gathered(tasks=any(task.not_responding for task in given))  # the view has forgotten that
        self._unsure = False  # a reply was lost: lines that are to be written may be stored
        # Of the transaction that runs:
        self._state: Any = None  # the record's, as it was found or made
        self._here = _Gathered()  # what is written by it, or not at all
        self._script = Script()  # what is run at its end
        self._removed = False
        self.lost = False  # someone else has the job, or is to have it: nothing is written any more

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What people see of the tasks."""
        with self._lock:
            return tuple(self._view)

    @property
    def state(self) -> State | None:
        """The record's, as a transaction of this journal last found it or made it; None if that was none."""
        try:
            return State(self._state)
        except ValueError:
            return None

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction for the job; `Fenced`, and nothing is written, if the claim has passed on."""
        with self._turn, self._writing() as gathered, self._database.write() as connection:
            self._fence(connection, gathered.columns)
            yield connection
            if not self._removed:
                both = gathered.before(self._here)
                if self._unsure:
                    both.lines = history.missing(connection, both.lines)
                self._add(Script(), both).run(connection)

    def store(self, *, ask: bool = True) -> None:
        """Write what has gathered, if anything has: it must be stored before what comes next.

        `ask`: as for `Database.commit`.
        """
        with self._turn:
            if not self._gathered:
                return
            if self._unsure:
                with self.begin():
                    pass
                return
            try:
                with self._writing() as gathered:
                    self._commit(gathered, self._own, gathered.columns or {"epoch": self.epoch}, ask=ask)
            except _NotThere:
                self.lost = True
                raise Fenced(self.job, self.epoch) from None

    def move_at_once(self, edge: Transition, columns: Values, then: Callable[[], None]) -> bool:
        """Make this move, with these columns; False, and nothing is written, if the record is not where it begins.

        A request came first, then, or the claim has passed on, or a reply was lost: a transaction tells. `then` is
        called to say what else is to be written, or not at all. Nobody is told: that is for the caller.
        """
        with self._turn:
            if self._unsure:
                return False
            try:
                with self._writing() as gathered:
                    self._has_moved(edge)
                    then()
                    where = self._own | {"state": str(edge.source)}
                    moved = {**gathered.columns, "state": str(edge.target), **columns}
                    self._commit(gathered, where, moved, ask=False)
            except _NotThere:
                return False
            return True

    def flush(self) -> None:
        """The same, if no one else writes for the job just now."""
        if self._gathered and self._turn.acquire(blocking=False):
            try:
                self.store()
            finally:
                self._turn.release()

    def set_tasks(self, tasks: Iterable[Task]) -> None:
        """Begin with these tasks, all of them as given."""
        with self._lock:
            self._view = TaskView(tasks)
            self._gathered.tasks = True

    def put(self, rows: TaskflowRows, observed: Iterable[AtomState] = (), **attempt: Any) -> None:
        """Take in rows of TaskFlow's, and columns of the attempt, that are to be stored together.

        `observed` is what they store of atoms, for people to see with them.
        """
        at = self._database.now()
        with self._lock:
            self._gathered.rows = self._gathered.rows.before(rows)
            self._gathered.attempt.update(attempt)
            for atom in observed:
                self._observe(atom, at)

    def report(self, task: str, progress: float, detail: dict[str, Any] | None) -> None:
        """Take in a task's own report on its progress."""
        with self._lock:
            self._gathered.tasks |= self._view.report(task, progress, detail)

    def mark_not_responding(self, task: str, since: datetime, stack: str, message: str) -> bool:
        """A task runs on though it was asked to stop at `since`; `message` is for the history.

        Shown until the task's state changes. Whether it is new.
        """
        with self._lock:
            self._gathered.tasks = True
            new = self._view.mark_not_responding(task, since.isoformat(timespec="microseconds"), stack)
        if new:
            self.note(
                history.TASK, task=task, state=history.NOT_RESPONDING, message=message, data={"stack": stack}
            )
        return new

    def note(self, kind: str, **fields: Any) -> None:
        """Add a line to the history."""
        line = self._line(self._database.now(), kind, **fields)
        with self._lock:
            self._gathered.lines.append(line)

    def set_columns(self, **columns: Any) -> None:
        """Write these columns of the record."""
        with self._lock:
            self._gathered.columns.update(columns)

    # In a transaction

    def move(
        self,
        connection: sa.Connection,
        sources: Iterable[State],
        cause: Cause,
        target: State,
        *,
        message: str | None = None,
        by: str | None = None,
        **columns: Any,
    ) -> State:
        """Move the record, if it is in one of `sources`, in the caller's fenced transaction.

        Returns the state it is in afterwards: `target`, or where another request has put it. Raises
        `MalformedRecord` if that is none.
        """
        current = state_of({"id": self.job, "state": self._state})
        if current not in sources:
            return current
        # The fence's UPDATE has locked the row, so what it found still stands; the condition says so, too.
        unchanged = self._own | {"state": str(current)}
        if update(connection, jobs, unchanged, {"state": str(target), **columns}).rowcount != 1:
            raise Fenced(self.job, self.epoch)
        self._has_moved(transition(current, cause, target), message, by)
        signals.add_notify(self._script, self._database.dialect, signals.Channel.CHANGE)
        return target

    def put_here(self, rows: TaskflowRows) -> None:
        """Write these rows in the caller's transaction, or not at all."""
        self._here.rows = self._here.rows.before(rows)

    def end_attempt(self, **columns: Any) -> None:
        """Write these columns of the attempt in the caller's transaction, or not at all."""
        self._here.attempt.update(columns)

    def also(self, script: Script) -> None:
        """Run this at the end of the caller's transaction."""
        self._script.extend(script)

    def remove(self, connection: sa.Connection) -> None:
        """Remove the job with everything that is stored for it, and with what was to be."""
        removal.remove(connection, [self.job], self._database.now())
        self._removed = True

    @property
    def _own(self) -> Values:
        return {"id": self.job, "epoch": self.epoch}

    @contextmanager
    def _writing(self) -> Iterator[_Gathered]:
        """What a transaction is to write. If it fails, that gathers on."""
        if self.lost:
            raise Fenced(self.job, self.epoch)
        gathered = self._take()
        self._here, self._script, self._removed = _Gathered(), Script(), False
        try:
            yield gathered
        except BaseException as error:
            self._unsure |= isinstance(error, Unreachable)
            self._give_back(gathered)
            raise
        self._unsure = False

    def _take(self) -> _Gathered:
        with self._lock:
            gathered, self._gathered = self._gathered, _Gathered()
            if gathered.tasks:
                gathered.columns |= {"tasks": task_view.to_json(self._view), "progress": self._view.progress}
            return gathered

    def _give_back(self, gathered: _Gathered) -> None:
        with self._lock:
            self._gathered = gathered.before(self._gathered)

    def _fence(self, connection: sa.Connection, columns: Values) -> None:
        """From here on the record is locked: no one else changes it before this transaction ends."""
        row = update(connection, jobs, self._own, columns or {"epoch": self.epoch}, returning="state").first()
        if row is None:
            self.lost = True
            raise Fenced(self.job, self.epoch)
        self._state = row.state

    def _commit(self, gathered: _Gathered, where: Values, columns: Values, *, ask: bool) -> None:
        """Write it all, if the record is as in `where`; else raise `_NotThere`."""
        script = self._add(Script(update_of(jobs, where, columns)), gathered.before(self._here))
        if not self._database.commit(script, ask=ask):
            raise _NotThere

    def _has_moved(self, edge: Transition, message: str | None = None, by: str | None = None) -> None:
        self._state = str(edge.target)
        said = message or edge.reason
        line = self._line(self._database.now(), history.STATE, state=str(edge.target), by=by, message=said)
        self._here.lines.append(line)

    def _add(self, script: Script, gathered: _Gathered) -> Script:
        """To a script, all but the record's own columns."""
        if gathered.attempt:
            add_update(script, attempts, {"job": self.job, "number": self.attempt}, gathered.attempt)
        gathered.rows.write(script)
        history.add(script, gathered.lines)
        script.extend(self._script)
        return script

    def _observe(self, atom: AtomState, at: datetime) -> None:
        task = self._view.observe(*atom, at.isoformat(timespec="microseconds"))
        if task is not None:
            line = self._line(at, history.TASK, task=task.name, state=task.state, message=_said_of(task))
            self._gathered.lines.append(line)
            self._gathered.tasks = True

    def _line(self, at: datetime, kind: str, **fields: Any) -> NewLine:
        return NewLine(self.job, self.attempt, at, kind, **fields)


def _said_of(task: Task) -> str | None:
    if task.error is not None:
        return f"{task.error.type}: {task.error.message}"
    return "interrupted" if task.state == "failure" else None
