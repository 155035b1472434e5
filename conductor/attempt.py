"""What a conductor writes of an attempt into the record: that it reverts, completes, rests, or is handed back."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from conductor.herald import Herald
from conductor.outcome import RESTS, Ending
from jobboard import requests
from jobboard.claims import Claim
from jobboard.database import Database
from jobboard.dispatch.base import Dispatch
from jobboard.errors import Fenced, Unreachable
from jobboard.journal import Journal
from jobboard.models import TaskError
from jobboard.retry_delay import retry_delay_s
from jobboard.schema import attempts, jobs
from jobboard.settings import shown_duration
from jobboard.statements import update
from jobboard.states import UNDOING, Cause, State, transition
from jobboard.taskflow_rows import TaskflowRows

LOG = logging.getLogger(__name__)

_LIVE = (State.RUNNING, State.PAUSING)
_SEALED = transition(State.RUNNING, Cause.SEAL, State.COMPLETED)
_ASK_AGAIN_S = 0.5
_KEPT = "its results are kept: a retry goes on at the task that failed, a cancel reverts them"


@dataclass(frozen=True)
class LeftBehind:
    """Tasks whose effects may remain."""

    failed: list[str]  # their revert failed
    unasked: list[str]  # TaskFlow then no longer asked them to revert

    def __str__(self) -> str:
        if not self.failed:
            return f"could not be reverted: {', '.join(self.unasked)}"
        said = f"the revert of {', '.join(self.failed)} failed"
        return f"{said}; not reverted because of that: {', '.join(self.unasked)}" if self.unasked else said


def said_of_failure(error: TaskError) -> str:
    """A task's failure in words."""
    return f"{error.task or 'the flow'} failed: {error.type}: {error.message}"


class Attempt:
    """One claim's part of an attempt, as the record is told of it. Every write is fenced by the journal.

    Everything but `ran_s` blocks while it writes, and raises `Fenced` and `Unreachable`.
    """

    def __init__(
        self, claim: Claim, journal: Journal, database: Database, dispatch: Dispatch, herald: Herald
    ) -> None:
        self._claim = claim
        self._journal = journal
        self._database = database
        self._dispatch = dispatch
        self._herald = herald
        self._began_s = time.monotonic()

    @property
    def ran_s(self) -> float:
        """Running time of the attempt so far, over all its conductors."""
        return self._claim.ran_s + time.monotonic() - self._began_s

    def revert(self, cause: Cause, error: TaskError, message: str) -> State:
        """A live job is to be reverted from here on, for this error. Returns the state it is in then."""
        with self._journal.begin() as connection:
            return self._journal.move(
                connection, _LIVE, cause, State.REVERTING, message=message, error=asdict(error)
            )

    def complete(self, results: dict[str, Any], rows: TaskflowRows) -> State:
        """The seal: completes the record unless something else was accepted before. Returns its state.

        `rows` are stored with it, or not at all: what the engine is to say of that. When the reply to the commit
        is lost, it asks again until it knows: to revert a job that is stored as completed would be worse than to
        wait.
        """
        while True:
            try:
                return self._try_complete(results, rows)
            except Unreachable as error:
                LOG.warning("job %s: sealing it, asking again: %s", self._claim.job, error)
                time.sleep(_ASK_AGAIN_S)

    def _try_complete(self, results: dict[str, Any], rows: TaskflowRows) -> State:
        columns = self._at_rest() | {"results": results, "progress": 1.0}
        if self._journal.move_at_once(_SEALED, columns, lambda: self._sealed(rows)):
            self._herald.tell()
            return State.COMPLETED
        with self._journal.begin() as connection:
            state = self._journal.move(connection, _LIVE, Cause.SEAL, State.COMPLETED, **columns)
            if state is State.COMPLETED:
                self._sealed(rows)
            return state

    def _sealed(self, rows: TaskflowRows) -> None:
        self._journal.end_attempt(ended_at=self._database.now(), outcome=str(State.COMPLETED))
        self._journal.also(self._dispatch.put_down(self._claim, keep_posting=False))
        self._journal.put_here(rows)

    def keep(self, error: TaskError) -> bool:
        """The job failed, and what its tasks did is kept: it rests, or goes on by itself later.

        False, and nothing is written, if it is to be reverted: a cancel or the end of its time came first.
        """
        again = self._claim.retries_left > 0
        with self._journal.begin() as connection:
            columns = self._at_rest() | {"error": asdict(error), "kept": True, "reason": _KEPT}
            said = said_of_failure(error)
            move = self._journal.move
            state = move(connection, [State.RUNNING], Cause.KEEP, State.FAILED, message=said, **columns)
            if state is State.PAUSING:
                again = False  # it is not to go on by itself
                state = move(connection, [State.PAUSING], Cause.KEEP, State.FAILED, message=said, **columns)
            if state is not State.FAILED:
                return False
            self._end_attempt(connection, state)
            if again:
                self._go_on_later(connection)
            self._journal.also(self._dispatch.put_down(self._claim, keep_posting=False))
        self._dispatch.was_put_down(self._claim, keep_posting=False)
        return True

    def _go_on_later(self, connection: sa.Connection) -> None:
        """A retry by itself of a job that kept its results: in the same attempt, at the task that failed."""
        said, columns = self._next_try()
        columns |= {"finished_at": None, "error": None, "reason": None, "claims": 0}
        self._journal.move(connection, [State.FAILED], Cause.RETRY, State.PENDING, message=said, **columns)

    def put_down(self, ending: Ending, left: LeftBehind | None) -> Ending:
        """Write what the ending means for the record, and put the claim down."""
        if ending is Ending.LOST:
            raise Fenced(self._claim.job, self._claim.epoch)
        if ending is Ending.SEALED:
            self._journal.store()
            self._dispatch.was_put_down(self._claim, keep_posting=False)
            return ending
        keep = ending is Ending.SUSPENDED
        with self._journal.begin() as connection:
            if ending is Ending.REVERTED and self._claim.retries_left > 0:
                self._retry_later(connection)
            for source, (cause, target) in RESTS[ending].items():
                columns = self._columns(connection, target, left)
                state = self._journal.move(connection, [source], cause, target, **columns)
                if state is target:
                    keep = target is State.PENDING
                    self._end_attempt(connection, target)
                    self._remove_if_asked(connection, target)
                    break
            else:
                if keep:
                    self._hand_back(connection)
            self._journal.also(self._dispatch.put_down(self._claim, keep_posting=keep))
        self._dispatch.was_put_down(self._claim, keep_posting=keep)
        return ending

    def _hand_back(self, connection: sa.Connection) -> None:
        """Of a job that is being undone: it stays so, and this claim does not count."""
        own = jobs.c.id == self._claim.job
        connection.execute(sa.update(jobs).where(own).values(owner=None, claims=jobs.c.claims - 1))

    def _retry_later(self, connection: sa.Connection) -> None:
        """Begin the next attempt by itself, if nobody cancelled this one."""
        claim = self._claim
        said, limits = self._next_try()
        columns = requests.next_attempt(claim.attempt, claim.epoch) | limits
        self._end_attempt(connection, State.FAILED)  # while the record holds its error still
        state = self._journal.move(
            connection, [State.REVERTING], Cause.RETRY_LATER, State.PENDING, message=said, **columns
        )
        if state is State.PENDING:
            fresh = {"job": claim.job, "number": claim.attempt + 1, "arguments": claim.arguments}
            connection.execute(sa.insert(attempts).values(fresh))

    def _next_try(self) -> tuple[str, dict[str, Any]]:
        """The next automatic retry in words, and the columns that say when it is due."""
        left = self._claim.retries_left - 1
        number = self._claim.max_retries - left
        delay_s = retry_delay_s(self._claim.retry_interval_s, number, random.random())  # noqa: S311 - spreads load
        shown = shown_duration(round(delay_s, 0 if delay_s >= 1 else 3))
        said = f"retry {number} of {self._claim.max_retries} in {shown}"
        return said, {"retries_left": left, "due_at": self._database.now() + timedelta(seconds=delay_s)}

    def _columns(self, connection: sa.Connection, target: State, left: LeftBehind | None = None) -> dict[str, Any]:
        if target is State.PENDING:
            return {"owner": None, "ran_s": self.ran_s, "claims": jobs.c.claims - 1}
        if target is State.PAUSED:
            return {"owner": None, "posting": None, "ran_s": self.ran_s, "claims": jobs.c.claims - 1}
        if target is State.CANCELLED:
            # As the record has it: the flag may have been raised before, for another reason.
            asked = sa.select(jobs.c.cancel_by, jobs.c.cancel_reason).where(jobs.c.id == self._claim.job)
            said = requests.said_of_cancel(*connection.execute(asked).one())
            return self._at_rest() | self._receipt() | {"reason": said}
        if target is State.REVERT_FAILED and left is not None:
            return self._at_rest() | self._receipt() | self._not_reverted(connection, left)
        return self._at_rest()

    def _not_reverted(self, connection: sa.Connection, left: LeftBehind) -> dict[str, Any]:
        """What the record says of a revert that failed. What made it necessary, if it was an error, stays."""
        own = sa.select(jobs.c.error, jobs.c.deleting).where(jobs.c.id == self._claim.job)
        error, deleting = connection.execute(own).one()
        first = next((task.error for task in self._journal.tasks if task.state == "revert_failure"), None)
        return {
            "reason": f"not deleted: {left}" if deleting else str(left),
            "deleting": False,
            "error": error or (asdict(first) if first else None),
        }

    def _at_rest(self) -> dict[str, Any]:
        plain = {"owner": None, "posting": None, "cleanup": False, "kept": False}
        return plain | {"finished_at": self._database.now(), "ran_s": self.ran_s}

    def _receipt(self) -> dict[str, Any]:
        """Of a cancel that found nothing to interrupt: it came between two tasks, or while they were reverted."""
        asked, now = jobs.c.cancel_requested_at.is_not(None), self._database.now()
        moments = (jobs.c.cancel_delivered_at, jobs.c.cancel_stopped_at)
        return {moment.name: sa.case((asked, sa.func.coalesce(moment, now))) for moment in moments}

    def _end_attempt(self, connection: sa.Connection, state: State) -> None:
        """Write how the attempt ended, with the error that the record holds."""
        if state in (State.PENDING, State.PAUSED):
            return
        own = {"job": self._claim.job, "number": self._claim.attempt}
        error = sa.select(jobs.c.error).where(jobs.c.id == self._claim.job).scalar_subquery()
        ended = {"ended_at": self._database.now(), "outcome": str(state), "error": error}
        update(connection, attempts, own, ended)

    def _remove_if_asked(self, connection: sa.Connection, state: State) -> None:
        """A job that was deleted while it ran goes when it is cancelled."""
        asked = sa.select(jobs.c.deleting).where(jobs.c.id == self._claim.job)
        if state is State.CANCELLED and connection.execute(asked).scalar_one():
            self._journal.remove(connection)

    def let_go(self) -> None:
        """Free the claim of a run that broke: another conductor, or this one again, goes on with the job."""
        with self._journal.begin() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == self._claim.job).values(owner=None))
            self._journal.also(self._dispatch.put_down(self._claim, keep_posting=True))
        self._dispatch.was_put_down(self._claim, keep_posting=True)

    def give_up(self, error: TaskError) -> Ending:
        """The flow cannot run. Without effects the job ends here; with effects, people must look."""
        LOG.error("job %s: %s: %s", self._claim.job, error.type, error.message)
        effects = [task.name for task in self._journal.tasks if task.state not in ("pending", "reverted")]
        if "tasks" in self._claim.faults and self._claim.resumed:
            effects = ["tasks that are not known"]
        with self._journal.begin() as connection:
            if effects:
                said = f"{error.message}; effects may remain of: {', '.join(effects)}"
                state = self._move_to_revert_failed(connection, error, said)
            else:
                state = self._move_to_end(connection, error)
            self._end_attempt(connection, state)
            self._remove_if_asked(connection, state)
            self._journal.also(self._dispatch.put_down(self._claim, keep_posting=False))
        self._dispatch.was_put_down(self._claim, keep_posting=False)
        return Ending.REVERT_FAILED if effects else Ending.REVERTED

    def _move_to_end(self, connection: sa.Connection, error: TaskError) -> State:
        move = self._journal.move
        move(connection, _LIVE, Cause.FAILURE, State.REVERTING, message=error.message, error=asdict(error))
        move(connection, [State.REVERTING], Cause.REVERTED, State.FAILED, **self._at_rest())
        columns = self._columns(connection, State.CANCELLED)
        return move(connection, [State.CANCELLING], Cause.REVERTED, State.CANCELLED, **columns)

    def _move_to_revert_failed(self, connection: sa.Connection, error: TaskError, said: str) -> State:
        return self._journal.move(
            connection,
            (*_LIVE, *UNDOING),
            Cause.REVERT_FAILURE,
            State.REVERT_FAILED,
            message=said,
            error=asdict(error),
            **self._at_rest(),
            reason=said,
            deleting=False,
        )
