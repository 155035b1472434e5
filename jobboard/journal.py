"""The journal of one claimed job: everything that its conductor writes about it goes through here.

Each transaction begins with one UPDATE of the record that holds only while the claim's epoch stands, so a
conductor that lost its claim writes nothing. The same UPDATE carries what people see of the job's tasks,
and the same transaction its new lines of history: neither costs a transaction of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from jobboard import history, signals, task_view
from jobboard.database import Database
from jobboard.errors import Fenced, Unreachable
from jobboard.faults import state_of
from jobboard.history import NewLine
from jobboard.models import Task
from jobboard.schema import jobs
from jobboard.states import Cause, State, transition
from jobboard.task_view import AtomState, TaskView

Observed = tuple[AtomState, datetime]


class Journal:
    """Fenced writes for one claim of one job. Thread-safe."""

    def __init__(self, database: Database, job: str, attempt: int, epoch: int, tasks: Iterable[Task]) -> None:
        self._database = database
        self.job = job
        self.attempt = attempt
        self.epoch = epoch
        self._turn = threading.Lock()  # one transaction at a time: what is taken in later is written later
        self._lock = threading.Lock()  # guards what is below
        given = tuple(tasks)
        self._view = TaskView(given)
        self._columns: dict[str, Any] = {}  # of the record, to be written with the next transaction
        self._lines: list[NewLine] = []
        self._dirty = any(task.not_responding for task in given)  # the view has forgotten that
        self._unsure = False  # a reply was lost: lines that are to be written may be stored
        self._moments: dict[tuple[str, str | None], datetime] = {}  # when storing an atom's state was first tried
        self.lost = False  # someone else has the job, or is to have it: nothing is written any more

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What people see of the tasks."""
        with self._lock:
            return tuple(self._view)

    @contextmanager
    def begin(self, atom: AtomState | None = None) -> Iterator[sa.Connection]:
        """A transaction for the job; `Fenced`, and nothing is written, if the claim has passed on.

        `atom` is what it stores of one: that is seen, and told in the history, only together with it.
        """
        with self._turn, self._transaction(atom) as connection:
            yield connection

    @contextmanager
    def _transaction(self, atom: AtomState | None = None) -> Iterator[sa.Connection]:
        if self.lost:
            raise Fenced(self.job, self.epoch)
        observed = self._observed(atom) if atom is not None else None
        columns, lines, shown, told = self._take(observed)
        try:
            with self._database.write() as connection:
                self._fence(connection, columns | shown)
                new = [*lines, *told]
                history.append(connection, history.missing(connection, new) if self._unsure else new)
                yield connection
        except BaseException as error:
            self._unsure |= isinstance(error, Unreachable)
            self._give_back(columns, lines)
            raise
        if observed is not None:
            self._stored(observed)
        self._unsure = bool(self._moments)

    def flush(self) -> None:
        """Write what has gathered, if anything has, and if no one else writes for the job just now."""
        if self._dirty and self._turn.acquire(blocking=False):
            try:
                with self._transaction():
                    pass
            finally:
                self._turn.release()

    def set_tasks(self, tasks: Iterable[Task]) -> None:
        """Begin with these tasks, all of them as given."""
        with self._lock:
            self._view = TaskView(tasks)
            self._dirty = True

    def report(self, task: str, progress: float, detail: dict[str, Any] | None) -> None:
        """Take in a task's own report on its progress. Stored by the next transaction or flush."""
        with self._lock:
            self._dirty |= self._view.report(task, progress, detail)

    def mark_not_responding(self, task: str, since: datetime, stack: str, message: str) -> bool:
        """A task runs on though it was asked to stop at `since`; `message` is for the history.

        Stored by the next transaction or flush, and shown until the task's state changes. Whether it is new.
        """
        with self._lock:
            self._dirty = True
            new = self._view.mark_not_responding(task, since.isoformat(timespec="microseconds"), stack)
        if new:
            self.note(
                history.TASK, task=task, state=history.NOT_RESPONDING, message=message, data={"stack": stack}
            )
        return new

    def note(self, kind: str, **fields: Any) -> None:
        """Add a line to the history, with the next transaction."""
        line = NewLine(self.job, self.attempt, self._database.now(), kind, **fields)
        with self._lock:
            self._lines.append(line)
            self._dirty = True

    def set_columns(self, **columns: Any) -> None:
        """Write these columns of the record with the next transaction."""
        with self._lock:
            self._columns.update(columns)
            self._dirty = True

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
        stored = connection.execute(sa.select(jobs.c.id, jobs.c.state).where(jobs.c.id == self.job)).mappings()
        current = state_of(stored.one())
        if current not in sources:
            return current
        edge = transition(current, cause, target)
        # The fence's UPDATE has locked the row, so what was read still stands; the condition says so, too.
        unchanged = sa.and_(jobs.c.id == self.job, jobs.c.epoch == self.epoch, jobs.c.state == str(current))
        change = sa.update(jobs).where(unchanged).values(state=str(target), **columns)
        if connection.execute(change).rowcount != 1:
            raise Fenced(self.job, self.epoch)
        line = NewLine(
            self.job,
            self.attempt,
            self._database.now(),
            history.STATE,
            state=str(target),
            by=by,
            message=message or edge.reason,
        )
        history.append(connection, [line])
        signals.notify(connection, signals.Channel.CHANGE)
        return target

    def _take(
        self, observed: Observed | None
    ) -> tuple[dict[str, Any], list[NewLine], dict[str, Any], list[NewLine]]:
        """Columns and lines that have gathered; columns of the tasks as then seen, and the line that says so."""
        with self._lock:
            columns, lines, shown = self._columns, self._lines, {}
            view = self._view if observed is None else self._view.copy()
            told = [] if observed is None else self._told(view, observed)
            # An atom that may be stored or not is stored again, or someone else takes over: until then what people
            # see of the tasks stays as it was stored with it.
            in_doubt = observed is None and self._moments
            if (self._dirty and not in_doubt) or told:
                shown = {"tasks": task_view.to_json(view), "progress": view.progress}
                self._dirty = False
            self._columns, self._lines = {}, []
            return columns, lines, shown, told

    def _told(self, view: TaskView, observed: Observed) -> list[NewLine]:
        """Put what was observed into `view`; the line of history that says what has changed, if anything has."""
        task, at = _put_into(view, observed), observed[1]
        if task is None:
            return []
        said = _said_of(task)
        return [NewLine(self.job, self.attempt, at, history.TASK, task=task.name, state=task.state, message=said)]

    def _observed(self, atom: AtomState) -> Observed:
        """It is the same moment however often this is tried: by that a line is known that is stored already."""
        return atom, self._moments.setdefault((atom.name, atom.state), self._database.now())

    def _stored(self, observed: Observed) -> None:
        atom, _at = observed
        with self._lock:
            _put_into(self._view, observed)
        del self._moments[atom.name, atom.state]

    def _give_back(self, columns: dict[str, Any], lines: list[NewLine]) -> None:
        with self._lock:
            self._columns = {**columns, **self._columns}
            self._lines = [*lines, *self._lines]
            self._dirty = True

    def _fence(self, connection: sa.Connection, columns: dict[str, Any]) -> None:
        own = sa.and_(jobs.c.id == self.job, jobs.c.epoch == self.epoch)
        changed = connection.execute(sa.update(jobs).where(own).values(columns or {"epoch": self.epoch}))
        if changed.rowcount != 1:
            self.lost = True
            raise Fenced(self.job, self.epoch)


def _put_into(view: TaskView, observed: Observed) -> Task | None:
    atom, at = observed
    return view.observe(*atom, at.isoformat(timespec="microseconds"))


def _said_of(task: Task) -> str | None:
    if task.error is not None:
        return f"{task.error.type}: {task.error.message}"
    return "interrupted" if task.state == "failure" else None
